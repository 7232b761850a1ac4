// Package probe asks one worker from outside whether it does its work: by a
// connection, or by an HTTP request.
//
//	tcp://127.0.0.1:{8080+index}          somebody accepts
//	unix:///run/app/{slot}.sock           somebody accepts
//	http://127.0.0.1:8080/healthz         the answer is 200 to 399
//	http+unix:///run/app.sock:/healthz    the same over a unix socket
//
// A probe takes no thread while it waits, follows no redirect, keeps no
// connection, and reads next to nothing of the answer.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/brood-init/brood/internal/expand"
)

// kind is how a worker is asked.
type kind int

const (
	connects kind = iota // to address, over network
	requests             // a page, over a connection to address
)

// Probe asks workers. It never changes and is safe for concurrent use.
type Probe struct {
	kind    kind
	network string          // tcp or unix
	address expand.Template // host:port, or a path
	page    expand.Template // the path and query of a request
	host    expand.Template // for the Host header
	text    string
}

const wanted = "want tcp://HOST:PORT, unix:///PATH, http://HOST:PORT/PATH, http+unix:///SOCKET:/PATH or exec:COMMAND"

// Parse reads a probe. The error says in one line what is wanted. What is in
// braces is expanded for each worker: see package expand.
func Parse(text string) (*Probe, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, errors.New(wanted)
	}
	p := &Probe{text: text}
	var address, page, host string
	switch scheme {
	case "tcp":
		p.network, address = "tcp", rest
	case "unix":
		p.network, address = "unix", rest
	case "http":
		p.kind, p.network = requests, "tcp"
		address, page, _ = cutBefore(rest, '/')
		host = address
		if !strings.Contains(afterBracket(address), ":") && address != "" {
			address += ":80"
		}
	case "http+unix":
		p.kind, p.network, host = requests, "unix", "localhost"
		address, page, ok = strings.Cut(rest, ":/")
		if page = "/" + page; !ok {
			return nil, errors.New("want http+unix:///SOCKET:/PATH, a colon between the socket and the path")
		}
	case "https":
		return nil, errors.New("https would need a certificate to trust: " + wanted)
	default:
		return nil, fmt.Errorf("%s:// is not known: %s", scheme, wanted)
	}
	if err := p.compile(address, page, host); err != nil {
		return nil, err
	}
	return p, p.plausible()
}

// cutBefore splits before the first separator, which stays with the second part;
// without one that is "/".
func cutBefore(s string, separator byte) (before, after string, found bool) {
	if i := strings.IndexByte(s, separator); i >= 0 {
		return s[:i], s[i:], true
	}
	return s, string(separator), false
}

// afterBracket is what follows an IPv6 address, whose own colons do not count.
func afterBracket(address string) string {
	if i := strings.LastIndexByte(address, ']'); i >= 0 {
		return address[i:]
	}
	return address
}

func (p *Probe) compile(address, page, host string) (err error) {
	for _, part := range []struct {
		into *expand.Template
		text string
	}{{&p.address, address}, {&p.page, page}, {&p.host, host}} {
		if *part.into, err = expand.Compile(part.text); err != nil {
			return err
		}
	}
	return nil
}

// plausible tries the probe on the first worker's identity.
func (p *Probe) plausible() error {
	address := p.address.Expand(expand.Values{Slot: 1, Index: 0, Count: 1})
	if p.network == "unix" {
		if !filepath.IsAbs(address) {
			return errors.New("want the absolute path of a socket: " + wanted)
		}
		return nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return errors.New(wanted)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return fmt.Errorf("%q is no port: %s", port, wanted)
	}
	if _, err := url.Parse("http://localhost" + p.page.Expand(expand.Values{Slot: 1, Count: 1})); err != nil {
		return errors.New("the path cannot be part of a URL: " + wanted)
	}
	return nil
}

// String is the probe as it was given.
func (p *Probe) String() string { return p.text }

// Check asks the worker and returns nil or why it does not do its work, in a
// few words. It returns when ctx is over, whatever the worker does.
func (p *Probe) Check(ctx context.Context, of expand.Values) error {
	if p.kind == requests {
		return p.request(ctx, of)
	}
	conn, err := p.Dial(ctx, of)
	if err != nil {
		return brief(err)
	}
	return conn.Close()
}

// UsesIdentity reports whether workers are asked at different places.
func (p *Probe) UsesIdentity() bool { return p.address.UsesIdentity() || p.page.UsesIdentity() }

// Dial connects to the worker.
func (p *Probe) Dial(ctx context.Context, of expand.Values) (net.Conn, error) {
	address := p.address.Expand(of)
	if host, port, err := net.SplitHostPort(address); err == nil && host == "" {
		address = net.JoinHostPort("localhost", port)
	}
	var d net.Dialer
	return d.DialContext(ctx, p.network, address)
}

// mostHeader bounds what a worker may answer with: the rest is not read.
const mostHeader = 16 << 10

// ParsePage reads where a worker has a page: http://HOST:PORT/PATH or
// unix:///SOCKET:/PATH.
func ParsePage(text string) (*Probe, error) {
	const wanted = "want http://HOST:PORT/PATH or unix:///SOCKET:/PATH"
	scheme, rest, _ := strings.Cut(text, "://")
	switch scheme {
	case "unix", "http+unix":
		if !strings.Contains(rest, ":/") {
			return nil, errors.New(wanted + ", a colon between the socket and the path")
		}
		text = "http+unix://" + rest
	case "http":
	case "https":
		return nil, errors.New("https would need a certificate to trust: " + wanted)
	default:
		return nil, errors.New(wanted)
	}
	p, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if _, err := p.Request(context.Background(), expand.Values{Slot: 1, Count: 1}); err != nil {
		return nil, fmt.Errorf("%s: %w", wanted, err)
	}
	return p, nil
}

// Request asks the worker for the page, over a connection of Dial. There is no
// request for the zero Probe, nor for one that only connects.
func (p *Probe) Request(ctx context.Context, of expand.Values) (*http.Request, error) {
	host := p.host.Expand(of)
	if host == "" || strings.HasPrefix(host, ":") {
		host = "localhost" + host
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+p.page.Expand(of), http.NoBody)
}

func (p *Probe) request(ctx context.Context, of expand.Values) error {
	transport := &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return p.Dial(ctx, of) },
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: mostHeader,
	}
	defer transport.CloseIdleConnections()
	request, err := p.Request(ctx, of)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "brood-probe")
	answer, err := transport.RoundTrip(request) // follows no redirect
	if err != nil {
		return brief(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 399 {
		return fmt.Errorf("the answer is %s", answer.Status)
	}
	return nil
}

// brief leaves out addresses, which the setting tells.
func brief(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("no answer in time")
	case errors.As(err, &op) && op.Err != nil:
		return op.Err
	}
	return err
}
