package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// Client talks to one brood.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the brood that listens on path. Nothing is
// connected before the first call.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Status asks for the state of the brood.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	response, err := c.do(ctx, http.MethodGet, "/v1/status")
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("cannot read the answer of %q: %w", c.path, err)
	}
	return s, nil
}

// Events calls line with each event's JSON as it happens, until the brood or
// ctx ends, or line returns an error.
func (c *Client) Events(ctx context.Context, line func([]byte) error) error {
	response, err := c.do(ctx, http.MethodGet, "/v1/events")
	if err != nil {
		return err
	}
	return eachLine(response, line)
}

// Reload replaces all workers. It calls line as Events does, and returns when
// that is over: nil, or why it has failed.
func (c *Client) Reload(ctx context.Context, line func([]byte) error) error {
	response, err := c.do(ctx, http.MethodPost, "/v1/reload")
	if err != nil {
		return err
	}
	var result *Result
	if err := eachLine(response, func(text []byte) error {
		if r := asResult(text); r != nil {
			result = r
			return nil
		}
		return line(text)
	}); err != nil {
		return err
	}
	if result == nil {
		return errors.New("brood has left before the reload was over")
	}
	return result.err()
}

// Scale asks for another number of workers: N, +N, -N or auto. It returns the
// numbers wanted before and after.
func (c *Client) Scale(ctx context.Context, to string) (before, after int, err error) {
	response, err := c.send(ctx, http.MethodPost, "/v1/scale?to="+url.QueryEscape(to))
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	var r Result
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<16)).Decode(&r); err != nil {
		return 0, 0, fmt.Errorf("cannot read the answer of %q: %w", c.path, err)
	}
	return r.From, r.To, r.err()
}

// Stop asks the brood to stop, calls line as Events does, and returns once it
// has left.
func (c *Client) Stop(ctx context.Context, line func([]byte) error) error {
	response, err := c.do(ctx, http.MethodPost, "/v1/stop")
	if err != nil {
		return err
	}
	return eachLine(response, line)
}

func (r *Result) err() error {
	if r.OK {
		return nil
	}
	return errors.New(told(r.Error))
}

// asResult tells the last line of an answer from the events before it.
func asResult(text []byte) *Result {
	var has struct {
		OK *bool `json:"ok"`
		Result
	}
	if json.Unmarshal(text, &has) != nil || has.OK == nil {
		return nil
	}
	has.Result.OK = *has.OK
	return &has.Result
}

// longestLine is more than any event takes.
const longestLine = 1 << 20

// eachLine reads until the brood has left, which is no error.
func eachLine(response *http.Response, line func([]byte) error) error {
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if err := line(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	return nil
}

// Health asks /readyz, or with live /livez, and returns nil or the reason.
func (c *Client) Health(ctx context.Context, live bool) error {
	path := "/readyz"
	if live {
		path = "/livez"
	}
	response, err := c.send(ctx, http.MethodGet, path)
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusOK {
		return response.Body.Close()
	}
	return errors.New(reason(response))
}

// reason is what an answer that is not 200 says, and its end.
func reason(response *http.Response) string {
	defer response.Body.Close()
	why, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	return told(strings.TrimSpace(string(why)))
}

// told is a reason as a terminal can show it in a line: who answers on the
// socket need not be a brood.
func told(why string) string {
	if why == "" {
		return "it does not say why"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, why)
}

// do sends a request that nothing but 200 answers well.
func (c *Client) do(ctx context.Context, method, path string) (*http.Response, error) {
	response, err := c.send(ctx, method, path)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cannot ask the brood at %q: %d: %s", c.path, response.StatusCode, reason(response))
	}
	return response, nil
}

func (c *Client) send(ctx context.Context, method, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://brood"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	return response, nil
}

func (c *Client) unreachable(err error) error {
	// The URL that net/http puts before is not what was asked for.
	if inner := new(url.Error); errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("cannot reach the brood at %q: %w", c.path, err)
}
