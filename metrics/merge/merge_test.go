package merge

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

const (
	asText        = "text/plain; version=0.0.4; charset=utf-8"
	asOpenMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"
	asProtobuf    = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)

func rules() *Rules {
	return &Rules{
		Label:    "worker",
		Reserved: func(name string) bool { return strings.HasPrefix(name, "brood_") || name == "up" },
		Samples:  1000,
	}
}

func style(f Format) Style {
	return Style{Format: f, Escaping: model.NoEscaping, ContentType: []string{asText, asOpenMetrics, asProtobuf}[f]}
}

// answer is what a worker sends.
type answer struct{ contentType, body string }

// mergeAll merges the answers of the workers 1, 2, ...
func mergeAll(t testing.TB, s Style, answers ...answer) (string, Dropped) {
	t.Helper()
	var pages []*Page
	var dropped Dropped
	for i, a := range answers {
		p := new(Page)
		if err := p.Read(rules(), s, strconv.Itoa(i+1), a.contentType, []byte(a.body)); err != nil {
			t.Fatalf("worker %d: %v", i+1, err)
		}
		dropped.Add(p.Dropped())
		pages = append(pages, p)
	}
	out, d := Append(nil, s, pages)
	dropped.Add(d)
	return string(out), dropped
}

func text(lines ...string) answer { return answer{asText, strings.Join(lines, "\n") + "\n"} }

func openMetrics(lines ...string) answer {
	return answer{asOpenMetrics, strings.Join(lines, "\n") + "\n# EOF\n"}
}

func TestPagesAreMergedByTheRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		style   Style
		answers []answer
		want    string
		dropped Dropped
	}{
		"families are gathered and sorted": {
			answers: []answer{
				text("# HELP b_total B.", "# TYPE b_total counter", `b_total{x="1"} 1`, "# TYPE a gauge", "a 2"),
				text("# TYPE a gauge", "a{} 3", "# HELP b_total Not B.", "# TYPE b_total counter", `b_total{x="1",} 4 1700000000000`),
			},
			want: `# TYPE a gauge
a{worker="1"} 2
a{worker="2"} 3
# HELP b_total B.
# TYPE b_total counter
b_total{worker="1",x="1"} 1
b_total{worker="2",x="1"} 4 1700000000000
`,
		},
		"the type of most workers counts, and of the first if there are as many": {
			answers: []answer{
				text("# TYPE x gauge", "x 1", "# TYPE y gauge", "y 1"),
				text("# TYPE x counter", "x 2", "# TYPE y counter", "y 2"),
				text("# TYPE x counter", "x 3"),
			},
			want: `# TYPE x counter
x{worker="2"} 2
x{worker="3"} 3
# TYPE y gauge
y{worker="1"} 1
`,
			dropped: Dropped{TypeConflict: 2},
		},
		"a family is not called as another's samples": {
			answers: []answer{
				text("# TYPE x histogram", `x_bucket{le="+Inf"} 1`, "x_sum 1", "x_count 1"),
				text("# TYPE x_count gauge", "x_count 2"),
			},
			want: `# TYPE x histogram
x_bucket{worker="1",le="+Inf"} 1
x_sum{worker="1"} 1
x_count{worker="1"} 1
`,
			dropped: Dropped{TypeConflict: 1},
		},
		"a label of our name is the worker's own": {
			answers: []answer{
				text(`x{worker="own"} 1`),
				text(`x{worker="own",exported_worker="too"} 2`),
				text(`x{a="b", "worker"="own"} 3`),
			},
			want: `# TYPE x untyped
x{worker="1",exported_worker="own"} 1
x{worker="2",exported_exported_worker="own",exported_worker="too"} 2
x{worker="3",a="b",exported_worker="own"} 3
`,
		},
		"what is ours, and what is there twice, is left out": {
			answers: []answer{text(
				"# TYPE brood_worker_up gauge", `brood_worker_up{worker="1"} 1`, "up 1", "upper 1",
				`x{a="1",b="2"} 1`, `x{b="2",a="1"} 2`, `x{a="1"} 3`,
			)},
			want: `# TYPE upper untyped
upper{worker="1"} 1
# TYPE x untyped
x{worker="1",a="1",b="2"} 1
x{worker="1",a="1"} 3
`,
			dropped: Dropped{Reserved: 2, Duplicate: 1},
		},
		"names and values of all kinds": {
			answers: []answer{text(
				`{"a.b",c="} 1"} 1`, `{"a.b"} 2`, `plain{"l.m"="\"\\\n",n="{,"} 3`, "  spaced  {  a = \"b\" }   4  ", "\t", `{x="1","late.name"} 5`,
				`{"legacy",x="1"} 6`, "nan NaN", "inf{} -Inf 1",
			)},
			want: `# TYPE "a.b" untyped
{"a.b",worker="1",c="} 1"} 1
{"a.b",worker="1"} 2
# TYPE inf untyped
inf{worker="1"} -Inf 1
# TYPE "late.name" untyped
{"late.name",worker="1",x="1"} 5
# TYPE legacy untyped
legacy{worker="1",x="1"} 6
# TYPE nan untyped
nan{worker="1"} NaN
# TYPE plain untyped
plain{worker="1","l.m"="\"\\\n",n="{,"} 3
# TYPE spaced untyped
spaced{worker="1",a="b"} 4
`,
		},
		"names are escaped for readers that do not know quotes": {
			style:   Style{Format: Text, Escaping: model.UnderscoreEscaping},
			answers: []answer{text(`# HELP "a.b" H`, `# TYPE "a.b" gauge`, `{"a.b","c:d"="x"} 1`, `{"a.b"} 2`)},
			want: `# HELP a_b H
# TYPE a_b gauge
a_b{worker="1",c_d="x"} 1
a_b{worker="1"} 2
`,
		},
		"OpenMetrics keeps exemplars, units and creation times": {
			style: style(OpenMetrics),
			answers: []answer{openMetrics(
				"# TYPE a_seconds counter", "# UNIT a_seconds seconds", `# HELP a_seconds Says "a".`,
				`a_seconds_total{x="y"} 1.0 1700000000.5 # {trace_id="1 # 2"} 0.5 1700000000`, `a_seconds_created{x="y"} 1700000000`,
				"# TYPE i info", `i_info{v="1"} 1`, "# TYPE s stateset", `s{s="on"} 1`,
			)},
			want: `# HELP a_seconds Says \"a\".
# TYPE a_seconds counter
# UNIT a_seconds seconds
a_seconds_total{worker="1",x="y"} 1.0 1700000000.5 # {trace_id="1 # 2"} 0.5 1700000000
a_seconds_created{worker="1",x="y"} 1700000000
# TYPE i info
i_info{worker="1",v="1"} 1
# TYPE s stateset
s{worker="1",s="on"} 1
`,
		},
		"text becomes OpenMetrics": {
			style: style(OpenMetrics),
			answers: []answer{text(
				`# HELP a_total "A".`, "# TYPE a_total counter", `a_total{x="y"} 1 1700000000500`, "# TYPE c counter", "c 1", "u 1",
				"# TYPE h histogram", `h_bucket{le="1"} 1`, `h_bucket{le="2.5"} 1`, `h_bucket{le="+Inf"} 1`, "h_sum 1", "h_count 1",
			)},
			want: `# HELP a \"A\".
# TYPE a counter
a_total{worker="1",x="y"} 1 1700000000.5
# TYPE c unknown
c{worker="1"} 1
# TYPE h histogram
h_bucket{worker="1",le="1.0"} 1
h_bucket{worker="1",le="2.5"} 1
h_bucket{worker="1",le="+Inf"} 1
h_sum{worker="1"} 1
h_count{worker="1"} 1
# TYPE u unknown
u{worker="1"} 1
`,
		},
		"a gauge beside a counter of its name stays there": {
			style: style(OpenMetrics),
			answers: []answer{
				text("# TYPE x_total counter", "x_total 1", "# TYPE x gauge", "x 2"),
				openMetrics("# TYPE x gauge", "x 3", "# TYPE x counter", "x_total 4"),
			},
			want: `# TYPE x gauge
x{worker="1"} 2
x{worker="2"} 3
# TYPE x_total unknown
x_total{worker="1"} 1
x_total{worker="2"} 4
`,
		},
		"OpenMetrics becomes text": {
			answers: []answer{
				text("# TYPE a_total counter", "a_total 2"),
				openMetrics(
					`# HELP a Is \"a\".`, "# TYPE a counter", `a_total 1.0 1700000000.5 # {} 1`, "a_created 1700000000",
					"# TYPE i info", `i_info{v="1"} 1`, "# TYPE g gaugehistogram", `g_bucket{le="+Inf"} 1`, "# TYPE u unknown", "u 1",
				),
			},
			want: `# HELP a_total Is "a".
# TYPE a_total counter
a_total{worker="1"} 2
a_total{worker="2"} 1.0 1700000000500
# TYPE g_bucket untyped
g_bucket{worker="2",le="+Inf"} 1
# TYPE i_info gauge
i_info{worker="2",v="1"} 1
# TYPE u untyped
u{worker="2"} 1
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.style == (Style{}) {
				c.style = style(Text)
			}
			got, dropped := mergeAll(t, c.style, c.answers...)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if dropped != c.dropped {
				t.Errorf("dropped %+v, not %+v", dropped, c.dropped)
			}
		})
	}
}

func TestAnAnswerWithABadLineIsNone(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for _, f := range []Format{Text, OpenMetrics, Protobuf} {
		for name, a := range map[string]answer{
			"HTML":                     {"text/html", "<p>"},
			"HTML that says it is not": {asText, "<html>\n"},
			"breaks off":               {asText, "a 1\nb 2"},
			"no value":                 text("a"),
			"no number":                text("a b"),
			"hexadecimal":              text("a 0x1p-2"),
			"open braces":              text(`a{b="c" 1`),
			"open quotes":              text(`a{b="c} 1`),
			"a wrong escape":           text(`a{b="\t"} 1`),
			"a label twice":            text(`a{b="1",b="2"} 1`),
			"many labels, one twice":   text("a{" + manyLabels(30) + `,l7="x"} 1`),
			"a name as a label":        text(`a{__name__="b"} 1`),
			"two names":                text(`{"a","b"} 1`),
			"no name":                  text(`{a="b"} 1`),
			"an exemplar in text":      text(`a 1 # {} 1`),
			"a time with a fraction":   text(`a 1 1.5`),
			"an unknown type":          text("# TYPE a info", "a 1"),
			"not UTF-8":                text("a{b=\"\xff\"} 1"),
			"a bound that is none":     text("# TYPE a histogram", `a_bucket{le="x"} 1`),
			"a megabyte of a name":     text(long),
			"a megabyte of zeros":      {asText, strings.Repeat("\x00", 1<<20)},
			"no EOF":                   {asOpenMetrics, "# TYPE a gauge\na 1\n"},
			"more after EOF":           {asOpenMetrics, "# EOF\na 1\n"},
			"a bad exemplar":           openMetrics("a_total 1 # {a=b} 1"),
			"exemplars without end":    openMetrics("a_total 1" + strings.Repeat(" # {} 1", 100000)),
			"no messages":              {asProtobuf, "a 1\n"},
			"half a message":           {asProtobuf, "\x80"},
			"a huge message":           {asProtobuf, "\xff\xff\xff\xff\x0f"},
			"text messages":            {"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", ""},
		} {
			p := new(Page)
			if err := p.Read(rules(), style(f), "1", a.contentType, []byte(a.body)); !errors.Is(err, ErrFormat) {
				t.Errorf("%s, for format %d: %v", name, f, err)
			}
			if out, _ := Append(nil, style(f), []*Page{p}); len(out) != 0 {
				t.Errorf("%s, for format %d: something is left: %.100q", name, f, out)
			}
		}
	}
}

func manyLabels(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("l" + strconv.Itoa(i) + `="v"`)
	}
	return b.String()
}

func TestTooManySamplesAreRefused(t *testing.T) {
	t.Parallel()
	var page bytes.Buffer
	for i := range 1001 {
		page.WriteString(`a{b="` + strconv.Itoa(i) + "\"} 1\n")
	}
	p := new(Page)
	for _, f := range []Format{Text, OpenMetrics, Protobuf} {
		if err := p.Read(rules(), style(f), "1", asText, page.Bytes()); !errors.Is(err, ErrSamples) {
			t.Errorf("format %d: %v", f, err)
		}
		if err := p.Read(rules(), style(f), "1", asText, page.Bytes()[len("a{b=\"0\"} 1\n"):]); err != nil || p.Samples() != 1000 {
			t.Errorf("format %d: %v, %d samples", f, err, p.Samples())
		}
	}
}
