package metrics

import (
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
)

// exposition answers requests with the source's page. Brood's own families are
// promhttp's to serve, and a page that consists of them alone is its answer
// unchanged. It knows nothing of text that is there already, so the workers' part
// goes behind its uncompressed answer, and both are compressed here.
type exposition struct {
	own, plain http.Handler // promhttp: as the client asks, and never compressed
	raw        pagePool
	zips       sync.Pool // of *gzip.Writer
}

func newExposition(source prometheus.TransactionalGatherer) *exposition {
	serve := func(o promhttp.HandlerOpts) http.Handler {
		o.ErrorHandling, o.EnableOpenMetrics = promhttp.ContinueOnError, true
		return promhttp.HandlerForTransactional(source, o)
	}
	return &exposition{
		own:   serve(promhttp.HandlerOpts{OfferedCompressions: []promhttp.Compression{promhttp.Identity, promhttp.Gzip}}),
		plain: serve(promhttp.HandlerOpts{DisableCompression: true}),
	}
}

// wanted is what a request asks for, as promhttp understands it.
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

// answer makes a page of the source's families and the workers' part, which is
// in the wanted format already. What cannot be gathered or encoded is missing.
func (x *exposition) answer(p *page, r *http.Request, want wanted, workers []byte) {
	switch {
	case len(workers) == 0:
		x.own.ServeHTTP(p, r)
	case want.zipped:
		raw := x.raw.get()
		defer x.raw.put(raw)
		x.append(raw, r, workers)
		maps.Copy(p.header, raw.header)
		p.code = raw.code
		x.compress(p, raw.Bytes())
	default:
		x.append(p, r, workers)
	}
}

// append puts the workers' part behind the source's families, and before the
// line that ends a page of OpenMetrics.
func (x *exposition) append(p *page, r *http.Request, workers []byte) {
	x.plain.ServeHTTP(p, r)
	p.header.Add("Vary", "Accept-Encoding")
	if p.code != http.StatusOK {
		return
	}
	const end = "# EOF\n"
	ends := bytes.HasSuffix(p.Bytes(), []byte(end))
	if ends {
		p.Truncate(p.Len() - len(end))
	}
	_, _ = p.Write(workers) // it is memory
	if ends {
		_, _ = p.WriteString(end)
	}
}

// compress is fast rather than thorough: workers' pages may be megabytes, and
// this takes a third of the time for a page that is a third larger.
func (x *exposition) compress(p *page, raw []byte) {
	zip, ok := x.zips.Get().(*gzip.Writer)
	if !ok {
		zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // it is a level
	}
	defer x.zips.Put(zip)
	p.header.Set("Content-Encoding", "gzip")
	zip.Reset(p)
	_, _ = zip.Write(raw)
	_ = zip.Close() // a page takes everything
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
func WriteText(w io.Writer, s prometheus.TransactionalGatherer) error {
	var text bytes.Buffer
	if err := encodeText(&text, s); err != nil {
		return err
	}
	_, err := w.Write(text.Bytes())
	return err
}

// encodeText holds the source no longer than it takes to encode.
func encodeText(text *bytes.Buffer, s prometheus.TransactionalGatherer) error {
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
