package main

import "bytes"

const ruleHead = `# Made of deploy/prometheus/rules.yml by go run ./internal/gendocs.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: web
spec:
`

// prometheusRule makes of a rule file of Prometheus what the Prometheus operator
// takes: the groups are the same, two columns further in.
func prometheusRule(rules []byte) []byte {
	out := bytes.NewBufferString(ruleHead)
	started := false
	for line := range bytes.Lines(rules) {
		started = started || bytes.HasPrefix(line, []byte("groups:"))
		switch {
		case !started: // what the file says of itself
		case len(bytes.TrimSpace(line)) == 0:
			out.WriteByte('\n')
		default:
			out.WriteString("  ")
			out.Write(line)
		}
	}
	return out.Bytes()
}
