package metrics

import (
	"cmp"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// series is one metric of a family, made once and put on each page anew. The
// zero series belongs to no family and must not be put.
type series struct {
	family *dto.MetricFamily
	metric *dto.Metric
	value  *float64
}

// put sets the value and adds the metric to the page.
func (s *series) put(v float64) {
	*s.value = v
	s.family.Metric = append(s.family.Metric, s.metric)
}

// putIf is put for a figure that may be unknown.
func (s *series) putIf(known bool, v float64) {
	if known {
		s.put(v)
	}
}

// made reports whether there is such a series yet.
func (s *series) made() bool { return s.metric != nil }

// families are all metric families, with what is on the page.
type families struct {
	byIndex [familyCount]dto.MetricFamily
	sorted  []*dto.MetricFamily // by name
	page    []*dto.MetricFamily // those that are not empty
	// created is when counters were 0: brood's start, whenever the series came.
	created *timestamppb.Timestamp
}

func newFamilies(created *timestamppb.Timestamp) *families {
	f := &families{created: created}
	descriptors := table()
	for i := range f.byIndex {
		d, mf := &descriptors[i], &f.byIndex[i]
		mf.Name, mf.Help = &d.Name, &d.Help
		switch d.Type {
		case Counter:
			mf.Type = dto.MetricType_COUNTER.Enum()
		case Gauge:
			mf.Type = dto.MetricType_GAUGE.Enum()
		case Histogram:
			mf.Type = dto.MetricType_HISTOGRAM.Enum()
		}
		f.sorted = append(f.sorted, mf)
	}
	slices.SortFunc(f.sorted, func(a, b *dto.MetricFamily) int { return cmp.Compare(*a.Name, *b.Name) })
	f.page = make([]*dto.MetricFamily, 0, len(f.sorted))
	return f
}

// clear begins a new page.
func (f *families) clear() {
	for i := range f.byIndex {
		f.byIndex[i].Metric = f.byIndex[i].Metric[:0]
	}
}

// filled returns the families that have a metric. An empty one must not go to
// the encoder: it refuses it, and promhttp ends the page there without a word.
func (f *families) filled() []*dto.MetricFamily {
	f.page = f.page[:0]
	for _, mf := range f.sorted {
		if len(mf.Metric) > 0 {
			f.page = append(f.page, mf)
		}
	}
	return f.page
}

// The memory of a metric and all that it points to, in one piece: at 1000
// workers there are 19,000 of them in the short set.
type (
	gaugeMemory struct {
		metric dto.Metric
		gauge  dto.Gauge
		value  float64
	}
	counterMemory struct {
		metric  dto.Metric
		counter dto.Counter
		value   float64
	}
)

// series makes a metric of a counter's or gauge's family. Labels are shared
// between metrics and must be sorted by name.
func (f *families) series(of family, labels ...*dto.LabelPair) series {
	mf := &f.byIndex[of]
	if mf.GetType() == dto.MetricType_COUNTER {
		m := new(counterMemory)
		m.counter.Value, m.counter.CreatedTimestamp = &m.value, f.created
		m.metric.Label, m.metric.Counter = labels, &m.counter
		return series{mf, &m.metric, &m.value}
	}
	m := new(gaugeMemory)
	m.gauge.Value = &m.value
	m.metric.Label, m.metric.Gauge = labels, &m.gauge
	return series{mf, &m.metric, &m.value}
}

// enumerated makes a metric for each value of the family's first label that has
// values, followed by the given ones.
func (f *families) enumerated(out []series, of family, values []*dto.LabelPair, labels ...*dto.LabelPair) {
	for i := range out {
		out[i] = f.series(of, sorted(values[i], labels)...)
	}
}

func sorted(first *dto.LabelPair, more []*dto.LabelPair) []*dto.LabelPair {
	all := append(make([]*dto.LabelPair, 0, 1+len(more)), first)
	all = append(all, more...)
	slices.SortFunc(all, func(a, b *dto.LabelPair) int { return cmp.Compare(*a.Name, *b.Name) })
	return all
}

func label(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }

// values makes the label pairs of an enumeration, as the table has it.
func values(of family, name string) []*dto.LabelPair {
	for _, l := range table()[of].Labels {
		if l.Name == name {
			pairs := make([]*dto.LabelPair, len(l.Values))
			for i, v := range l.Values {
				pairs[i] = label(name, v)
			}
			return pairs
		}
	}
	return nil
}

// histogram is a metric with buckets, used again like a series.
type histogram struct {
	family *dto.MetricFamily
	metric *dto.Metric
	upTo   []uint64 // cumulative, shared with the metric
	count  uint64
	sum    float64
}

func (f *families) histogram(of family, bounds []float64) *histogram {
	h := &histogram{family: &f.byIndex[of], upTo: make([]uint64, len(bounds))}
	d := &dto.Histogram{SampleCount: &h.count, SampleSum: &h.sum, CreatedTimestamp: f.created}
	for i := range bounds {
		d.Bucket = append(d.Bucket, &dto.Bucket{UpperBound: &bounds[i], CumulativeCount: &h.upTo[i]})
	}
	h.metric = &dto.Metric{Histogram: d}
	return h
}

// put takes counts per bucket, each without the ones below.
func (h *histogram) put(buckets []uint64, count uint64, sum float64) {
	total := uint64(0)
	for i, n := range buckets {
		total += n
		h.upTo[i] = total
	}
	h.count, h.sum = count, sum
	h.family.Metric = append(h.family.Metric, h.metric)
}
