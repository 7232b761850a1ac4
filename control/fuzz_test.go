package control_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/brood-init/brood/control"
)

// What a scale request says is a number within bounds, or refused.
func FuzzParseScale(f *testing.F) {
	for _, text := range []string{"3", "+1", "-1", "auto", "", "+", "-0", "+100000", "-100001", "0x10", "1_0", "9223372036854775808", "３"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		scale, err := control.ParseScale(text)
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), strconv.Quote(text)) {
				t.Errorf("%q is refused without being named: %v", text, err)
			}
		case scale.Auto:
			if text != "auto" || scale.N != 0 || scale.Relative {
				t.Errorf("%q = %+v", text, scale)
			}
		case scale.N > 100_000 || scale.N < -100_000, !scale.Relative && scale.N < 0, scale.Relative != strings.ContainsAny(text, "+-"):
			t.Errorf("%q = %+v", text, scale)
		}
	})
}
