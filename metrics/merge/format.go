package merge

import (
	"mime"
	"strings"

	"github.com/prometheus/common/model"
)

// Format is how a page is written.
type Format int

// The formats.
const (
	Text        Format = iota // 0.0.4, and 1.0.0 with quoted names
	OpenMetrics               // 1.0
	Protobuf                  // delimited messages
)

// Style is what a reader wants.
type Style struct {
	Format Format
	// Escaping is what becomes of names that only newer readers know.
	Escaping model.EscapingScheme
	// ContentType is the negotiated one, for the encoder of messages.
	ContentType string
}

// StyleOf reads the Content-Type of a page that is to be added to. It reports
// whether anything can be added in that format.
func StyleOf(contentType string) (Style, bool) {
	f, parameters, ok := formatOf(contentType)
	if !ok {
		return Style{}, false
	}
	style := Style{Format: f, Escaping: model.NameEscapingScheme, ContentType: contentType}
	if scheme, err := model.ToEscapingScheme(parameters[model.EscapingKey]); err == nil {
		style.Escaping = scheme
	}
	return style, true
}

// Accept is what to ask workers for: the format of the page, so that nothing is
// converted, and then text, which everybody speaks.
func (s Style) Accept() string {
	escaping := ";" + model.EscapingKey + "=" + s.Escaping.String()
	switch s.Format {
	case OpenMetrics:
		return "application/openmetrics-text;version=1.0.0" + escaping + ";q=0.9,text/plain;version=0.0.4" + escaping + ";q=0.5"
	case Protobuf:
		// Names are escaped when the page is written, once.
		const plain = ";" + model.EscapingKey + "=" + model.AllowUTF8
		return "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited" + plain +
			";q=0.9,text/plain;version=0.0.4" + plain + ";q=0.5"
	}
	return "text/plain;version=0.0.4" + escaping
}

// formatOf reads a Content-Type. Who says nothing, or text of whatever version,
// means the text format, as Prometheus took it for years.
func formatOf(contentType string) (Format, map[string]string, bool) {
	if strings.TrimSpace(contentType) == "" {
		return Text, nil, true
	}
	media, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return 0, nil, false
	}
	switch media {
	case "text/plain":
		return Text, parameters, true
	case "application/openmetrics-text":
		return OpenMetrics, parameters, true
	case "application/vnd.google.protobuf":
		delimited := parameters["encoding"] == "delimited" && parameters["proto"] == "io.prometheus.client.MetricFamily"
		return Protobuf, parameters, delimited
	}
	return 0, nil, false
}
