package merge

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/proto"
)

func seeds(f *testing.F) {
	for _, page := range []string{
		"", "\n", "a 1\n", "a{} 1\n", "a{b=\"c\",} 1 2\n", "# HELP a b\n# TYPE a counter\na 1\n",
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n",
		"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n", "s_count 1\n# TYPE s summary\ns_count{a=\"b\"} 2\ns_sum 1\n",
		"{\"a.b\",c=\"\\\"\\\\\\n\"} 1\n# TYPE \"a.b\" gauge\n", "a{worker=\"1\",\"l.m\"=\"x\"} NaN\n", "up 1\nbrood_x 1\n",
		"# TYPE a counter\n# UNIT a seconds\na_total 1.5 1.5 # {t=\"1\"} 1 1\na_created 1\n# EOF\n", "# TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n",
		"# TYPE g gaugehistogram\ng_bucket{le=\"+Inf\"} 1\ng_gcount 1\n# EOF\n", "  a  {  b = \"c\" , }  1  2  \n", "a{b=\"\xff\"} 1\n", "# HELP a \xff\na 1\n",
	} {
		f.Add([]byte(page))
	}
}

// Whatever a worker sends as text, what comes out can be read, and is what
// expfmt reads in it.
func FuzzText(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		r := &Rules{Label: "worker"}
		p := new(Page)
		if p.Read(r, style(Text), "7", asText, body) != nil {
			return
		}
		merged, _ := Append(nil, style(Text), []*Page{p})
		got, err := parsed(merged)
		if err != nil {
			t.Fatalf("%v:\n%s", err, merged)
		}
		for _, escaping := range []model.EscapingScheme{model.UnderscoreEscaping, model.ValueEncodingEscaping} {
			s := Style{Format: Text, Escaping: escaping}
			if p.Read(r, s, "7", asText, body) != nil {
				continue // two labels have become one
			}
			merged, _ := Append(nil, s, []*Page{p})
			parser := expfmt.NewTextParser(model.LegacyValidation)
			if _, err := parser.TextToMetricFamilies(bytes.NewReader(merged)); err != nil {
				t.Fatalf("%v:\n%s", err, merged)
			}
		}
		want, err := parsed(body)
		if err != nil || bytes.Contains(bytes.ToLower(body), []byte("gauge")) && bytes.Contains(bytes.ToLower(body), []byte("histogram")) {
			return // we take more, or there is no such thing in text
		}
		if diff := cmp.Diff(expected(want), lines(got)); diff != "" {
			t.Fatalf("%s\nfrom:\n%s\nto:\n%s", diff, body, merged)
		}
	})
}

func parsed(page []byte) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(page))
}

// expected is what expfmt has read, with our label, without what is twice and
// without families that are called as another's samples.
func expected(all map[string]*dto.MetricFamily) []string {
	for name := range maps.Clone(all) {
		cut := strings.LastIndexByte(name, '_')
		if cut > 0 && all[name[:cut]] != nil && slices.Contains(ofMessage(all[name[:cut]].GetType()).suffixes(Text), name[cut:]) {
			delete(all, name)
		}
	}
	for _, mf := range all {
		if mf.Help != nil {
			mf.Help = new(strings.ToValidUTF8(*mf.Help, "\uFFFD"))
		}
		for _, m := range mf.Metric {
			rename := "exported_worker"
			for slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == rename }) {
				rename = "exported_" + rename
			}
			for _, l := range m.Label {
				if l.GetName() == "worker" {
					l.Name = &rename
				}
			}
			m.Label = append(m.Label, &dto.LabelPair{Name: new("worker"), Value: new("7")})
		}
	}
	return lines(all)
}

// lines are all series, each once: the first of it.
func lines(all map[string]*dto.MetricFamily) []string {
	var out []string
	for name, mf := range all {
		out = append(out, name+" "+mf.GetType().String()+" "+mf.GetHelp())
		for _, m := range mf.Metric {
			slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return strings.Compare(a.GetName(), b.GetName()) })
		}
		seen := map[string]bool{}
		var page bytes.Buffer
		if _, err := expfmt.MetricFamilyToText(&page, mf); err != nil {
			continue
		}
		for line := range strings.Lines(page.String()) {
			if key := series(line); !strings.HasPrefix(line, "# ") && !seen[key] {
				seen[key] = true
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return out
}

func series(line string) string {
	var s sample
	_ = s.scan([]byte(strings.TrimSuffix(line, "\n")), Text)
	return line[:s.value]
}

// Whatever a worker sends as OpenMetrics, what comes out is OpenMetrics that is
// read again without a change, and text that expfmt reads.
func FuzzOpenMetrics(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, contentType := range []string{asText, asOpenMetrics} {
			p := new(Page)
			if p.Read(&Rules{Label: "worker"}, style(OpenMetrics), "7", contentType, body) == nil {
				merged, _ := Append(nil, style(OpenMetrics), []*Page{p})
				again := new(Page)
				if err := again.Read(&Rules{}, style(OpenMetrics), "", asOpenMetrics, append(bytes.Clone(merged), "# EOF\n"...)); err != nil {
					t.Fatalf("%v:\n%s", err, merged)
				}
				if len(again.extra) > 0 {
					t.Fatalf("not as OpenMetrics wants it:\n%s", merged)
				}
			}
			if p.Read(&Rules{Label: "worker"}, style(Text), "7", contentType, body) == nil {
				merged, _ := Append(nil, style(Text), []*Page{p})
				if _, err := parsed(merged); err != nil {
					t.Fatalf("%v:\n%s", err, merged)
				}
			}
			if p.Read(&Rules{Label: "worker"}, style(Protobuf), "7", contentType, body) == nil {
				merged, _ := Append(nil, style(Protobuf), []*Page{p})
				if _, err := p.readMessages(merged); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// Whatever a worker sends as messages, what comes out can be read.
func FuzzProtobuf(f *testing.F) {
	var seed bytes.Buffer
	for _, m := range []*dto.MetricFamily{{
		Name: new("a"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1)}}},
	}, {
		Name: new("h"), Type: dto.MetricType_HISTOGRAM.Enum(), Metric: []*dto.Metric{{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(1), Schema: proto.Int32(3), PositiveDelta: []int64{1}, PositiveSpan: []*dto.BucketSpan{{Length: proto.Uint32(1)}},
		}}},
	}} {
		if err := expfmt.NewEncoder(&seed, expfmt.FmtProtoDelim).Encode(m); err != nil {
			f.Fatal(err)
		}
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, body []byte) {
		for out := range Protobuf + 1 {
			p := new(Page)
			if p.Read(&Rules{Label: "worker", Samples: 1000}, style(out), "7", asProtobuf, body) != nil {
				continue
			}
			merged, _ := Append(nil, style(out), []*Page{p})
			var err error
			switch out {
			case Text:
				_, err = parsed(merged)
			case OpenMetrics:
				err = new(Page).Read(&Rules{}, style(out), "", asOpenMetrics, append(merged, "# EOF\n"...))
			case Protobuf:
				_, err = p.readMessages(merged)
			}
			if err != nil {
				t.Fatalf("format %d: %v:\n%s", out, err, merged)
			}
		}
	})
}
