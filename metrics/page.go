package metrics

import (
	"bytes"
	"maps"
	"net/http"
	"strconv"
	"sync"
)

// page is an answer in memory: an http.ResponseWriter that never waits.
type page struct {
	header http.Header
	code   int
	// Buffer has the methods that spare the encoder a buffer of its own.
	bytes.Buffer
}

func (p *page) Header() http.Header { return p.header }

func (p *page) WriteHeader(code int) { p.code = code }

// send copies the page to the client.
func (p *page) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.header)
	w.Header().Set("Content-Length", strconv.Itoa(p.Len()))
	w.WriteHeader(p.code)
	_, _ = w.Write(p.Bytes()) // a client that is gone has nothing to be told
}

// pagePool keeps pages for the next request. What lies idle is the garbage
// collector's in time.
type pagePool struct{ pool sync.Pool }

// maxIdlePage bounds a page that is kept, in bytes: 5000 workers in the short set.
const maxIdlePage = 8 << 20

func (p *pagePool) get() *page {
	if idle, ok := p.pool.Get().(*page); ok {
		return idle
	}
	return &page{header: make(http.Header), code: http.StatusOK}
}

func (p *pagePool) put(used *page) {
	if used.Cap() > maxIdlePage {
		return
	}
	clear(used.header)
	used.code = http.StatusOK
	used.Reset()
	p.pool.Put(used)
}
