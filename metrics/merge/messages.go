package merge

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// decode reads a page of messages. For a page of lines it is written as such
// first.
func (p *Page) decode(body []byte) error {
	families, err := p.readMessages(body)
	if err != nil {
		return err
	}
	if p.style.Format == Protobuf {
		return p.takeMessages(families)
	}
	var text bytes.Buffer
	kind := expfmt.FmtText
	if p.style.Format == OpenMetrics {
		kind = expfmt.FmtOpenMetrics_1_0_0
	}
	encoder := expfmt.NewEncoder(&text, kind.WithEscapingScheme(p.style.Escaping))
	for _, mf := range families {
		if err := encoder.Encode(mf); err != nil {
			return ErrFormat
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			return ErrFormat
		}
	}
	return p.scan(p.style.Format, text.Bytes())
}

func (p *Page) readMessages(body []byte) ([]*dto.MetricFamily, error) {
	room := p.rules.Samples * partsPerSample
	var families []*dto.MetricFamily
	for len(body) > 0 {
		// Not by a decoder that takes the length at its word.
		message, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return nil, ErrFormat
		}
		body = body[n:]
		mf := new(dto.MetricFamily)
		if p.rules.Samples > 0 && !fits(mf.ProtoReflect().Descriptor(), message, &room) {
			return nil, ErrSamples
		}
		if proto.Unmarshal(message, mf) != nil || !model.UTF8Validation.IsValidMetricName(mf.GetName()) {
			return nil, ErrFormat
		}
		mf.Metric = slices.DeleteFunc(mf.Metric, func(m *dto.Metric) bool { return !holds(m, mf.GetType()) })
		if len(mf.Metric) > 0 {
			families = append(families, mf)
		}
	}
	return families, nil
}

// partsPerSample is how many messages a sample may consist of on average: labels, an
// exemplar and its labels.
const partsPerSample = 40

// fits reports whether a message has no more messages inside than there is room
// for: two bytes can become a hundred in memory.
func fits(of protoreflect.MessageDescriptor, b []byte, room *int) bool {
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return true // to be refused by who reads it
		}
		b = b[n:]
		if field := of.Fields().ByNumber(number); wire == protowire.BytesType && field != nil && field.Message() != nil {
			if *room--; *room < 0 {
				return false
			}
			if inside, n := protowire.ConsumeBytes(b); n >= 0 && !fits(field.Message(), inside, room) {
				return false
			}
		}
		if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
			return true
		}
		b = b[n:]
	}
	return true
}

// holds reports whether a metric has a value of the type, and names that can be
// told apart.
func holds(m *dto.Metric, of dto.MetricType) bool {
	for i, l := range m.Label {
		if !model.UTF8Validation.IsValidLabelName(l.GetName()) || !model.LabelValue(l.GetValue()).IsValid() {
			return false
		}
		for _, other := range m.Label[:min(i, few)] {
			if other.GetName() == l.GetName() {
				return false
			}
		}
	}
	switch of {
	case dto.MetricType_COUNTER:
		return m.Counter != nil
	case dto.MetricType_GAUGE:
		return m.Gauge != nil
	case dto.MetricType_SUMMARY:
		return m.Summary != nil
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return m.Histogram != nil
	case dto.MetricType_UNTYPED:
		return m.Untyped != nil
	}
	return false
}

// parse reads a page of lines for a page of messages.
func (p *Page) parse(in Format, body []byte) error {
	if in == OpenMetrics {
		// As text, which loses the exemplars; the only page that does not.
		var page Page
		style := Style{Format: Text, Escaping: model.NoEscaping}
		page.reset(&Rules{Samples: p.rules.Samples}, style, "")
		if err := page.scan(in, body); err != nil {
			return err
		}
		body, _ = Append(nil, style, []*Page{&page})
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return ErrFormat
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, mf := range byName {
		families = append(families, mf)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return p.takeMessages(families)
}

// takeMessages labels what is to be on the page.
func (p *Page) takeMessages(families []*dto.MetricFamily) error {
	for _, mf := range families {
		size := 0
		for _, m := range mf.Metric {
			size += samplesOf(m)
		}
		if p.samples += size; p.rules.Samples > 0 && p.samples > p.rules.Samples {
			return ErrSamples
		}
		if p.rules.Reserved != nil && p.rules.Reserved(mf.GetName()) {
			p.dropped.Reserved += size
			continue
		}
		mf.Metric = slices.DeleteFunc(mf.Metric, func(m *dto.Metric) bool {
			p.mark(m)
			twice := p.knownMessage(mf, m)
			if twice {
				p.dropped.Duplicate += samplesOf(m)
			}
			return twice
		})
		if len(mf.Metric) > 0 {
			p.messages = append(p.messages, mf)
		}
	}
	return nil
}

// samplesOf is how many lines of text a metric is, or would be.
func samplesOf(m *dto.Metric) int {
	switch {
	case m.Summary != nil:
		return len(m.Summary.Quantile) + 2
	case m.Histogram != nil:
		return len(m.Histogram.Bucket) + 2 + len(m.Histogram.PositiveDelta) + len(m.Histogram.NegativeDelta) +
			len(m.Histogram.PositiveCount) + len(m.Histogram.NegativeCount)
	}
	return 1
}

// mark puts the worker's label into a metric.
func (p *Page) mark(m *dto.Metric) {
	for _, l := range m.Label {
		if l.GetName() == p.rules.Label {
			name := p.renamed(func(other string) bool {
				return slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return l.GetName() == other })
			})
			l.Name = &name
		}
	}
	m.Label = append(m.Label, &dto.LabelPair{Name: &p.rules.Label, Value: &p.worker})
	slices.SortFunc(m.Label, func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
}

func (p *Page) knownMessage(mf *dto.MetricFamily, m *dto.Metric) bool {
	var h maphash.Hash
	h.SetSeed(p.seen.seed)
	write := func(s string) {
		_, _ = h.WriteString(s)
		_ = h.WriteByte(0xff) // which no name and no value has
	}
	write(mf.GetName())
	for _, l := range m.Label {
		write(l.GetName())
		write(l.GetValue())
	}
	return !p.seen.add(h.Sum64())
}

// appendMessages merges by message.
func appendMessages(dst []byte, style Style, pages []*Page, verdicts map[string]*verdict) ([]byte, error) {
	merged := make(map[string]*dto.MetricFamily)
	var order []string
	for _, p := range pages {
		for _, mf := range p.messages {
			name := mf.GetName()
			if v := verdicts[name]; v == nil || v.dropped || v.kind != ofMessage(mf.GetType()) {
				continue
			}
			into := merged[name]
			if into == nil {
				into = &dto.MetricFamily{Name: mf.Name, Help: mf.Help, Type: mf.Type, Unit: mf.Unit}
				merged[name] = into
				order = append(order, name)
			}
			if into.Help == nil {
				into.Help = mf.Help
			}
			if into.Unit == nil {
				into.Unit = mf.Unit
			}
			into.Metric = append(into.Metric, mf.Metric...)
		}
	}
	slices.Sort(order)
	out := bytes.NewBuffer(dst)
	encoder := expfmt.NewEncoder(out, expfmt.Format(style.ContentType).WithEscapingScheme(style.Escaping))
	for _, name := range order {
		if err := encoder.Encode(merged[name]); err != nil {
			return dst, err
		}
	}
	return out.Bytes(), nil
}
