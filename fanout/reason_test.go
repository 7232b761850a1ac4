package fanout

import (
	"regexp"
	"testing"
)

func TestEveryReasonHasOneRowAndSaysWhatItMeans(t *testing.T) {
	seen := map[Reason]bool{}
	for _, m := range Reasons() {
		switch {
		case seen[m.Reason]:
			t.Errorf("%s is there twice", m.Reason)
		case m.Worker == "" && m.Brood == "":
			t.Errorf("%s means nothing", m.Reason)
		case !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(m.Reason)):
			t.Errorf("%q is no label value that one would like to type", m.Reason)
		case m.Reason.Meaning() != m:
			t.Errorf("%s is looked up as %+v", m.Reason, m.Reason.Meaning())
		}
		seen[m.Reason] = true
	}
	for _, r := range WorkerReasons() {
		if end := r.end(); end.Meaning().Brood == "" {
			t.Errorf("a worker's end as %s would end brood as %s, which it never does", r, end)
		}
	}
	if got := Reason("new").Meaning(); got != (Meaning{}) {
		t.Errorf("a reason that is not there means %+v", got)
	}
}
