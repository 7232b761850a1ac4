package merge

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// Whatever workers have, the merged page is the one that expfmt writes of the
// families that are merged by hand.
func TestTheMergedPageIsWhatExpfmtWrites(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.SliceOfN(rapid.Custom(drawFamilies), 1, 4).Draw(t, "workers")
		for out := range Protobuf + 1 {
			for in := range Protobuf + 1 {
				if in == Text && out == OpenMetrics || in == OpenMetrics && out != in {
					continue // numbers change their spelling, or exemplars go
				}
				var answers []answer
				for _, families := range workers {
					answers = append(answers, answer{contentTypes()[in], encode(t, in, families)})
				}
				var pages []*Page
				for i, a := range answers {
					p := new(Page)
					if err := p.Read(rules(), style(out), strconv.Itoa(i+1), a.contentType, []byte(a.body)); err != nil {
						t.Fatalf("format %d for %d: %v\n%s", in, out, err, a.body)
					}
					pages = append(pages, p)
				}
				merged, _ := Append(nil, style(out), pages)
				want := mergedByHand(workers)
				if out == Protobuf && in == Text {
					for _, mf := range want {
						forgetWhatTextHasNot(mf)
					}
				}
				got := string(merged)
				if out == OpenMetrics {
					got += "# EOF\n"
				}
				if out == Protobuf {
					if diff := cmp.Diff(printed(t, encode(t, out, want)), printed(t, got)); diff != "" {
						t.Fatalf("format %d for %d:\n%s", in, out, diff)
					}
				} else if diff := cmp.Diff(encode(t, out, want), got); diff != "" {
					t.Fatalf("format %d for %d:\n%s", in, out, diff)
				}
			}
		}
	})
}

func contentTypes() []string { return []string{asText, asOpenMetrics, asProtobuf} }

func encode(t *rapid.T, f Format, families []*dto.MetricFamily) string {
	var page bytes.Buffer
	formats := []expfmt.Format{expfmt.FmtText, expfmt.FmtOpenMetrics_1_0_0, expfmt.FmtProtoDelim}
	encoder := expfmt.NewEncoder(&page, formats[f].WithEscapingScheme(model.NoEscaping))
	for _, mf := range families {
		if err := encoder.Encode(mf); err != nil {
			t.Fatal(err)
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return page.String()
}

func printed(t *rapid.T, page string) string {
	p := new(Page)
	p.reset(&Rules{}, style(Protobuf), "")
	families, err := p.readMessages([]byte(page))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, mf := range families {
		for _, m := range mf.Metric {
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		}
		out.WriteString(strings.ReplaceAll(mf.String(), "  ", " ") + "\n")
	}
	return out.String()
}

// forgetWhatTextHasNot removes what a worker that answers in text cannot say.
func forgetWhatTextHasNot(mf *dto.MetricFamily) {
	for _, m := range mf.Metric {
		if m.Counter != nil {
			m.Counter.Exemplar = nil
		}
	}
}

// mergedByHand adds the worker's label, as the first, and adds up. All workers
// agree about types here.
func mergedByHand(workers [][]*dto.MetricFamily) []*dto.MetricFamily {
	merged := map[string]*dto.MetricFamily{}
	for i, families := range workers {
		for _, mf := range families {
			mf = proto.Clone(mf).(*dto.MetricFamily)
			for _, m := range mf.Metric {
				own := &dto.LabelPair{Name: new("worker"), Value: new(strconv.Itoa(i + 1))}
				m.Label = append([]*dto.LabelPair{own}, m.Label...)
			}
			if into := merged[mf.GetName()]; into != nil {
				into.Metric = append(into.Metric, mf.Metric...)
			} else {
				merged[mf.GetName()] = mf
			}
		}
	}
	return slices.SortedFunc(maps.Values(merged), func(a, b *dto.MetricFamily) int {
		return strings.Compare(a.GetName(), b.GetName())
	})
}

// drawFamilies makes what a worker may have: names of both kinds, labels of
// which the name and the values need escaping, exemplars, timestamps.
func drawFamilies(t *rapid.T) []*dto.MetricFamily {
	names := []string{"a_total", "b.c_total", "g", "g.h", "hist", "s", "u", "z_seconds"}
	types := []dto.MetricType{
		dto.MetricType_COUNTER, dto.MetricType_COUNTER, dto.MetricType_GAUGE, dto.MetricType_GAUGE,
		dto.MetricType_HISTOGRAM, dto.MetricType_SUMMARY, dto.MetricType_UNTYPED, dto.MetricType_GAUGE,
	}
	var families []*dto.MetricFamily
	for i, name := range names {
		if !rapid.Bool().Draw(t, "has") {
			continue
		}
		mf := &dto.MetricFamily{Name: new(name), Type: types[i].Enum(), Help: new("Help of \"" + name + "\",\n\\ escaped.")}
		for j := range rapid.IntRange(1, 3).Draw(t, "metrics") {
			mf.Metric = append(mf.Metric, drawMetric(t, j, types[i]))
		}
		families = append(families, mf)
	}
	return families
}

func drawMetric(t *rapid.T, j int, of dto.MetricType) *dto.Metric {
	m := new(dto.Metric)
	if j > 0 || rapid.Bool().Draw(t, "labelled") {
		value := fmt.Sprint(j) + rapid.SampledFrom([]string{"", "{", "}", `"`, `\`, "\n", `# {a="b"} 1`, "ü", ",", `",worker="`}).Draw(t, "value")
		m.Label = append(m.Label, &dto.LabelPair{Name: new("label"), Value: &value})
		if rapid.Bool().Draw(t, "quoted") {
			name := rapid.SampledFrom([]string{"x.y", `x"y`, `x\y`, "x y", "x,y", "x=y"}).Draw(t, "name")
			m.Label = append(m.Label, &dto.LabelPair{Name: &name, Value: new("")})
		}
	}
	if rapid.Bool().Draw(t, "timed") {
		m.TimestampMs = proto.Int64(1_700_000_000_250)
	}
	v := new(rapid.SampledFrom([]float64{0, 1, -2.5, 1e300, 5e-324, 123456789}).Draw(t, "number"))
	switch of {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: v}
		if rapid.Bool().Draw(t, "exemplar") {
			m.Counter.Exemplar = &dto.Exemplar{
				Label: []*dto.LabelPair{{Name: new("trace"), Value: new(`# "}`)}}, Value: proto.Float64(1),
			}
		}
	case dto.MetricType_GAUGE:
		m.Gauge = &dto.Gauge{Value: v}
	case dto.MetricType_UNTYPED:
		m.Untyped = &dto.Untyped{Value: v}
	case dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{
			SampleCount: proto.Uint64(3), SampleSum: v,
			Quantile: []*dto.Quantile{{Quantile: new(0.5), Value: v}, {Quantile: proto.Float64(1), Value: v}},
		}
	case dto.MetricType_HISTOGRAM:
		m.Histogram = &dto.Histogram{SampleCount: proto.Uint64(3), SampleSum: v}
		for i, bound := range []float64{0.5, 1, 1e6} {
			m.Histogram.Bucket = append(m.Histogram.Bucket, &dto.Bucket{UpperBound: &bound, CumulativeCount: new(uint64(i))})
		}
		inf := &dto.Bucket{UpperBound: new(posInf()), CumulativeCount: proto.Uint64(3)}
		m.Histogram.Bucket = append(m.Histogram.Bucket, inf)
	}
	return m
}

func posInf() float64 { v, _ := strconv.ParseFloat("+Inf", 64); return v }
