package metrics

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Source makes pages. Gatherer is one, and so is everything that client_golang
// calls a TransactionalGatherer.
type Source interface {
	// Gather returns families that may be read until done is called, once,
	// whatever the error is.
	Gather() (page []*dto.MetricFamily, done func(), err error)
}

// exposition answers requests with the source's page. It does what promhttp
// does, which would bring client_golang, procfs and expvar along: to initialise
// them takes 0.9 ms at every start of brood, half as much as all else together.
type exposition struct {
	source Source
	zips   sync.Pool // of *gzip.Writer
	// fastZips compress less.
	fastZips sync.Pool
}

// wanted is what a request asks for.
type wanted struct {
	format expfmt.Format
	only   []string // names of families; empty is all
	zipped bool
}

func wantedBy(r *http.Request) wanted {
	return wanted{
		format: expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...),
		only:   r.URL.Query()["name[]"],
		zipped: wantsGzip(r.Header),
	}
}

// answer encodes a page in the format, by the compression and of the families
// that the client asks for, and adds the workers' part, which is in that format
// already. What cannot be encoded is missing.
func (x *exposition) answer(p *page, want wanted, workers []byte) {
	families, done, err := x.source.Gather()
	defer done()
	if err != nil && len(families) == 0 {
		http.Error(p, "cannot gather any metrics: "+err.Error(), http.StatusInternalServerError)
		return
	}
	p.header.Add("Vary", "Accept")
	p.header.Add("Vary", "Accept-Encoding")
	p.header.Set("Content-Type", string(want.format))
	if len(want.only) > 0 {
		families = slices.DeleteFunc(slices.Clone(families), func(f *dto.MetricFamily) bool {
			return !slices.Contains(want.only, f.GetName())
		})
	}
	if !want.zipped {
		encode(p, families, want.format, workers)
		return
	}
	p.header.Set("Content-Encoding", "gzip")
	zip := x.zip(len(workers) > 0)
	zip.Reset(p)
	encode(zip, families, want.format, workers)
	_ = zip.Close() // a page takes everything
	if len(workers) > 0 {
		x.fastZips.Put(zip)
		return
	}
	x.zips.Put(zip)
}

// zip compresses workers' pages, which may be megabytes, three times as fast for
// a page that is a third larger.
func (x *exposition) zip(fast bool) *gzip.Writer {
	pool, level := &x.zips, gzip.DefaultCompression
	if fast {
		pool, level = &x.fastZips, gzip.BestSpeed
	}
	if idle, ok := pool.Get().(*gzip.Writer); ok {
		return idle
	}
	made, _ := gzip.NewWriterLevel(nil, level) // both are levels
	return made
}

// encode leaves out what the format cannot express.
func encode(w io.Writer, families []*dto.MetricFamily, format expfmt.Format, workers []byte) {
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		_ = encoder.Encode(family)
	}
	_, _ = w.Write(workers) // it is memory
	if end, ok := encoder.(expfmt.Closer); ok {
		_ = end.Close() // OpenMetrics has a last line
	}
}

// wantsGzip reports whether the client likes gzip better than an uncompressed
// page (RFC 9110, 12.5.3). No header at all asks for nothing.
func wantsGzip(h http.Header) bool {
	zipped, plain, rest := -1.0, -1.0, -1.0
	for _, line := range h.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(line, ",") {
			coding, parameters, _ := strings.Cut(item, ";")
			weight := 1.0
			if q, ok := strings.CutPrefix(strings.TrimSpace(parameters), "q="); ok {
				var err error
				if weight, err = strconv.ParseFloat(q, 64); err != nil {
					weight = 0
				}
			}
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				zipped = weight
			case "identity":
				plain = weight
			case "*":
				rest = weight
			}
		}
	}
	if zipped < 0 {
		zipped = rest
	}
	if plain < 0 {
		plain = max(rest, 0)
	}
	return zipped > plain
}

// WriteText writes the source's page in the text format, as a file for the
// textfile collector has it. Nothing is written when nothing can be gathered.
func WriteText(w io.Writer, s Source) error {
	var text bytes.Buffer
	if err := encodeText(&text, s); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

// encodeText holds the source no longer than it takes to encode.
func encodeText(text *bytes.Buffer, s Source) error {
	families, done, err := s.Gather()
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
