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
	response, err := c.get(ctx, "/v1/status")
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
	response, err := c.get(ctx, "/v1/events")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := line(lines.Bytes()); err != nil {
			return err
		}
	}
	return nil // brood has left
}

// Health asks /readyz, or with live /livez, and returns nil or the reason.
func (c *Client) Health(ctx context.Context, live bool) error {
	path := "/readyz"
	if live {
		path = "/livez"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://brood"+path, nil)
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
	return fmt.Errorf("%s", strings.TrimSpace(string(why)))
}

func (c *Client) get(ctx context.Context, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://brood"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if response.StatusCode != http.StatusOK {
		_ = response.Body.Close()
		return nil, fmt.Errorf("cannot ask the brood at %q: %s", c.path, response.Status)
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
