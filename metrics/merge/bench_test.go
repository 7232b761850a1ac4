package merge

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
)

// BenchmarkMerge is what a scrape costs beyond asking the workers: 8 pages are
// read and written as one.
func BenchmarkMerge(b *testing.B) {
	for _, series := range []int{500, 5000} {
		families := serviceFamilies(series)
		for _, c := range []struct {
			name    string
			in, out Format
		}{{"text", Text, Text}, {"openmetrics", OpenMetrics, OpenMetrics}, {"text-to-openmetrics", Text, OpenMetrics}, {"protobuf", Protobuf, Protobuf}} {
			body := encoded(b, c.in, families)
			b.Run(fmt.Sprintf("%s/8x%d", c.name, series), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(8 * len(body)))
				pages := make([]*Page, 8)
				for i := range pages {
					pages[i] = new(Page)
				}
				r := &Rules{Label: "worker", Samples: 20000}
				var out []byte
				before := processorTime(b)
				for b.Loop() {
					for i, p := range pages {
						if err := p.Read(r, style(c.out), strconv.Itoa(i+1), contentTypes()[c.in], body); err != nil {
							b.Fatal(err)
						}
					}
					out, _ = Append(out[:0], style(c.out), pages)
				}
				// Other loads on the machine do not change this one.
				b.ReportMetric((processorTime(b)-before).Seconds()*1000/float64(b.N), "cpu-ms/op")
				if len(out) < 8*len(body)/2 {
					b.Fatalf("the page has %d bytes only", len(out))
				}
			})
		}
	}
}

func processorTime(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// serviceFamilies is a page as services have it: half of it histograms.
func serviceFamilies(series int) []*dto.MetricFamily {
	var families []*dto.MetricFamily
	pair := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	for n := 0; n < series; {
		f := len(families)
		mf := &dto.MetricFamily{Help: new("What the service does with its requests.")}
		switch f % 2 {
		case 0:
			mf.Name, mf.Type = new(fmt.Sprintf("http_requests_%d_total", f)), dto.MetricType_COUNTER.Enum()
			for i := range 28 {
				mf.Metric = append(mf.Metric, &dto.Metric{
					Label: []*dto.LabelPair{
						pair("code", strconv.Itoa(200+i)), pair("handler", "/api/v1/things/"+strconv.Itoa(i)), pair("method", "GET"),
					},
					Counter: &dto.Counter{Value: new(float64(i) * 1234)},
				})
				n++
			}
		case 1:
			mf.Name, mf.Type = new(fmt.Sprintf("http_request_%d_duration_seconds", f)), dto.MetricType_HISTOGRAM.Enum()
			for i := range 2 {
				h := &dto.Histogram{SampleCount: proto.Uint64(100), SampleSum: new(12.345678)}
				for j := range 12 {
					h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: new(float64(j) / 8), CumulativeCount: new(uint64(j))})
				}
				mf.Metric = append(mf.Metric, &dto.Metric{
					Label: []*dto.LabelPair{pair("handler", "/api/v1/things/"+strconv.Itoa(i)), pair("method", "GET")}, Histogram: h,
				})
				n += 15
			}
		}
		families = append(families, mf)
	}
	return families
}

func encoded(b *testing.B, f Format, families []*dto.MetricFamily) []byte {
	var page bytes.Buffer
	formats := []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim}
	encoder := expfmt.NewEncoder(&page, formats[f])
	for _, mf := range families {
		if err := encoder.Encode(mf); err != nil {
			b.Fatal(err)
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return page.Bytes()
}
