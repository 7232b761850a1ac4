package merge

import (
	"bytes"

	dto "github.com/prometheus/client_model/go"
)

// kind is the type of a family.
type kind uint8

const (
	untyped kind = iota
	counter
	gauge
	histogram
	summary
	gaugeHistogram
	info
	stateSet
)

// kindOf reads the word in a TYPE line. OpenMetrics has more of them.
func kindOf(word []byte, in Format) (kind, bool) {
	var space [16]byte
	switch string(append(space[:0], bytes.ToLower(word)...)) {
	case "counter":
		return counter, true
	case "gauge":
		return gauge, true
	case "histogram":
		return histogram, true
	case "summary":
		return summary, true
	case "untyped":
		return untyped, true
	case "gaugehistogram", "gauge_histogram":
		return gaugeHistogram, true
	case "unknown":
		return untyped, in == OpenMetrics
	case "info":
		return info, in == OpenMetrics
	case "stateset":
		return stateSet, in == OpenMetrics
	}
	return 0, false
}

// word is the type as it is written.
func (k kind) word(out Format) string {
	switch k {
	case counter:
		return "counter"
	case gauge:
		return "gauge"
	case histogram:
		return "histogram"
	case summary:
		return "summary"
	case gaugeHistogram:
		return "gaugehistogram"
	case info:
		return "info"
	case stateSet:
		return "stateset"
	}
	if out == OpenMetrics {
		return "unknown"
	}
	return "untyped"
}

// suffixes are what the names of a family's samples may have after its own.
func (k kind) suffixes(f Format) []string {
	openMetrics := f == OpenMetrics
	switch k {
	case histogram:
		if openMetrics {
			return []string{"_bucket", "_count", "_sum", "_created"}
		}
		return []string{"_bucket", "_count", "_sum"}
	case summary:
		if openMetrics {
			return []string{"_count", "_sum", "_created"}
		}
		return []string{"_count", "_sum"}
	case counter:
		if openMetrics {
			return []string{"_total", "_created"}
		}
	case gaugeHistogram:
		if openMetrics {
			return []string{"_bucket", "_gcount", "_gsum"}
		}
	case info:
		return []string{"_info"}
	}
	return nil
}

func ofMessage(t dto.MetricType) kind {
	switch t {
	case dto.MetricType_COUNTER:
		return counter
	case dto.MetricType_GAUGE:
		return gauge
	case dto.MetricType_HISTOGRAM:
		return histogram
	case dto.MetricType_SUMMARY:
		return summary
	case dto.MetricType_GAUGE_HISTOGRAM:
		return gaugeHistogram
	}
	return untyped
}
