package scraping

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/brood-init/brood/internal/probe"
	"github.com/brood-init/brood/metrics/merge"
)

// clients has one client for each slot.
type clients struct {
	page   *probe.Probe
	mu     sync.Mutex
	bySlot map[int]*client
}

// client asks one process, over one connection that it keeps.
type client struct {
	page      *probe.Probe
	target    Target
	transport *http.Transport
}

// keep forgets clients whose process is none of the targets any more.
func (c *clients) keep(targets []Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := make(map[int]int, len(targets))
	for _, t := range targets {
		now[t.Slot] = t.Incarnation
	}
	for slot, old := range c.bySlot {
		if incarnation, ok := now[slot]; !ok || incarnation != old.target.Incarnation {
			old.transport.CloseIdleConnections()
			delete(c.bySlot, slot)
		}
	}
}

// of returns the client for a target.
func (c *clients) of(t Target) *client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.bySlot[t.Slot]; known != nil && known.target == t {
		return known
	}
	made := &client{page: c.page, target: t}
	made.transport = &http.Transport{
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return c.page.Dial(ctx, t.Place) },
		DisableKeepAlives:      len(c.bySlot) >= mostKept,
		DisableCompression:     true, // a worker's CPU time is worth more than a copy inside the machine
		MaxResponseHeaderBytes: 16 << 10,
		MaxIdleConns:           1,
		IdleConnTimeout:        3 * time.Minute, // longer than from scrape to scrape
	}
	if old := c.bySlot[t.Slot]; old != nil {
		old.transport.CloseIdleConnections()
	}
	c.bySlot[t.Slot] = made
	return made
}

// answer is one worker's answer, and the memory for the next one's.
type answer struct {
	page merge.Page
	body []byte
	took int64 // bytes of what all answers may have together
	zip  gzip.Reader
}

// fetch reads a worker's answer into the body, and returns what format it claims
// to be in. It takes from room what all answers may have in bytes.
func (a *answer) fetch(ctx context.Context, c *client, accept string, room *atomic.Int64) (contentType string, err error) {
	request, err := c.page.Request(ctx, c.target.Place)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", accept)
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "brood")
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline).Seconds()
		request.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", strconv.FormatFloat(left, 'f', 3, 64))
	}
	response, err := c.transport.RoundTrip(request) // follows no redirect
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%w but %d", errStatus, response.StatusCode)
	}
	var body io.Reader = response.Body
	switch strings.ToLower(response.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip", "x-gzip":
		// Nothing is gained by what is larger compressed than it may be.
		if err := a.zip.Reset(io.LimitReader(body, mostBody)); err != nil {
			return "", unzipError(err)
		}
		body = &a.zip
	default:
		return "", errEncoding
	}
	if response.ContentLength > mostBody {
		return "", errTooLarge
	}
	return response.Header.Get("Content-Type"), a.read(body, room)
}

// read reads all of a body, if that is not too much.
func (a *answer) read(body io.Reader, room *atomic.Int64) error {
	a.body = a.body[:0]
	for {
		if len(a.body) == cap(a.body) {
			a.body = append(a.body, 0)[:len(a.body)]
		}
		n, err := body.Read(a.body[len(a.body):cap(a.body)])
		a.body = a.body[:len(a.body)+n]
		a.took += int64(n)
		if room.Add(-int64(n)) < 0 || len(a.body) > mostBody {
			return errTooLarge
		}
		if err == io.EOF { //nolint:errorlint // readers return it bare
			return nil
		}
		if err != nil {
			return unzipError(err)
		}
	}
}

// unzipError makes a mistake of the format of what cannot be decompressed.
func unzipError(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	if corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return merge.ErrFormat
	}
	return err
}
