package metrics

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
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

// WriteText writes the gatherer's page in the text format, as a file for the
// textfile collector has it. Nothing is written when nothing can be gathered.
func WriteText(w io.Writer, g prometheus.TransactionalGatherer) error {
	var text bytes.Buffer
	if err := encodeText(&text, g); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

// encodeText holds the gatherer no longer than it takes to encode.
func encodeText(text *bytes.Buffer, g prometheus.TransactionalGatherer) error {
	families, done, err := g.Gather()
	defer done()
	if err != nil && len(families) == 0 {
		return err
	}
	encoder := expfmt.NewEncoder(text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	return nil
}
