package expand

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExpand(t *testing.T) {
	third := Values{Slot: 3, Index: 2, Count: 4}
	for text, want := range map[string]string{
		"":                                   "",
		"nothing to do":                      "nothing to do",
		"{slot}":                             "3",
		"{index} of {count}":                 "2 of 4",
		"http://127.0.0.1:{9100+index}/":     "http://127.0.0.1:9102/",
		"{100-slot}":                         "97",
		"{0-slot}":                           "-3",
		"{slot+8080}":                        "8083",
		"{count-1}":                          "3",
		"{slot}{slot}":                       "33",
		"{2147483647+index}":                 "2147483649",
		"{{slot}}":                           "{slot}",
		"{{{slot}}}":                         "{3}",
		`{{"a":{{"b":{slot}}}}}`:             `{"a":{"b":3}}`,
		"a}b":                                "a}b",
		"}":                                  "}",
		"}}":                                 "}",
		"}}}":                                "}}",
		"{slot}}":                            "3}",
		"{{":                                 "{",
		"{{{{":                               "{{",
		"$SHELL % \\ ü {slot}":               "$SHELL % \\ ü 3",
		strings.Repeat("x", 200) + "{slot}ü": strings.Repeat("x", 200) + "3ü",
	} {
		tmpl, err := Compile(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := tmpl.Expand(third); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestCompileNamesWhatItDoesNotUnderstand(t *testing.T) {
	for text, named := range map[string]string{
		"a {pid} b":         `"{pid}"`,
		"{}":                `"{}"`,
		"{Slot}":            `"{Slot}"`,
		"{ slot }":          `"{ slot }"`,
		"{8080 + index}":    `"{8080 + index}"`,
		"{slot}{slott}":     `"{slott}"`,
		"{8080}":            `"{8080}"`,
		"{8080+}":           `"{8080+}"`,
		"{+slot}":           `"{+slot}"`,
		"{-1+slot}":         `"{-1+slot}"`,
		"{slot+index}":      `"{slot+index}"`,
		"{1+2}":             `"{1+2}"`,
		"{1+slot+1}":        `"{1+slot+1}"`,
		"{8080*slot}":       `"{8080*slot}"`,
		"{0100+slot}":       `"{0100+slot}"`,
		"{2147483648+slot}": `"{2147483648+slot}"`,
		"{slot":             `"{slot"`,
		"end {":             `"{"`,
		`{"json":true}`:     `"{\"json\":true}"`,
		"{{{pid}}}":         `"{pid}"`,
		"${HOME}":           `"{HOME}"`,
		"{slot{index}}":     `"{slot{index}"`,
		"{9999999999999999999999999999999999999+slot}": `"{9999999999999999999999999999999999999+s..."`,
	} {
		tmpl, err := Compile(text)
		if err == nil {
			t.Errorf("%q gives %q", text, tmpl.Expand(Values{}))
			continue
		}
		for _, part := range []string{named, "{slot}, {index}, {count}", "{8080+index}", "{{"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %s is not in %q", text, part, err)
			}
		}
	}
}

func TestUsesIdentity(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "plain": false, "{{slot}}": false, "{count}": false, "{count+1}": false,
		"{slot}": true, "{count}{index}": true, "{1-slot}": true,
	} {
		tmpl, err := Compile(text)
		if err != nil || tmpl.UsesIdentity() != want {
			t.Errorf("%q: %v, %v; want %v", text, tmpl.UsesIdentity(), err, want)
		}
	}
}

func TestExtremeValuesDoNotOverflow(t *testing.T) {
	for text, want := range map[string]string{
		"{slot}":             "2147483647",
		"{2147483647+slot}":  "4294967294",
		"{index}":            "-2147483648",
		"{2147483647-index}": "4294967295",
		"{index-2147483647}": "-4294967295",
	} {
		tmpl, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := tmpl.Expand(Values{Slot: math.MaxInt, Index: math.MinInt}); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}

func TestNoAllocationWhenThereIsNothingToExpand(t *testing.T) {
	for text, want := range map[string]float64{"PATH=/bin": 0, "{{}}": 0, "": 0, "PORT={8080+index}": 1} {
		tmpl, err := Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(100, func() { _ = tmpl.Expand(Values{Slot: 123456}) }); got != want {
			t.Errorf("%q: %v allocations, want %v", text, got, want)
		}
	}
}

// A text put together from pieces expands to its pieces, whatever they are.
func TestPiecesExpandOnTheirOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := Values{
			Slot:  rapid.IntRange(1, 100000).Draw(t, "slot"),
			Count: rapid.IntRange(0, 100000).Draw(t, "count"),
		}
		v.Index = v.Slot - 1
		of := map[string]int{"slot": v.Slot, "index": v.Index, "count": v.Count}
		names := rapid.SampledFrom([]string{"slot", "index", "count"})
		numbers := rapid.IntRange(0, math.MaxInt32)

		var text, want strings.Builder
		identity := false
		for range rapid.IntRange(0, 12).Draw(t, "pieces") {
			name, number := names.Draw(t, "name"), numbers.Draw(t, "number")
			digits := strconv.Itoa(number)
			kind := rapid.IntRange(0, 7).Draw(t, "kind")
			switch kind {
			case 0:
				plain := rapid.StringMatching(`[^{}]*`).Draw(t, "plain")
				text.WriteString(plain)
				want.WriteString(plain)
			case 1:
				text.WriteString("{{")
				want.WriteString("{")
			case 2:
				text.WriteString("}}")
				want.WriteString("}")
			case 3:
				text.WriteString("{" + name + "}")
				want.WriteString(strconv.Itoa(of[name]))
			case 4:
				text.WriteString("{" + digits + "+" + name + "}")
				want.WriteString(strconv.Itoa(number + of[name]))
			case 5:
				text.WriteString("{" + digits + "-" + name + "}")
				want.WriteString(strconv.Itoa(number - of[name]))
			case 6:
				text.WriteString("{" + name + "+" + digits + "}")
				want.WriteString(strconv.Itoa(of[name] + number))
			case 7:
				text.WriteString("{" + name + "-" + digits + "}")
				want.WriteString(strconv.Itoa(of[name] - number))
			}
			identity = identity || kind >= 3 && name != "count"
		}
		tmpl, err := Compile(text.String())
		if err != nil {
			t.Fatalf("%q: %v", text.String(), err)
		}
		if got := tmpl.Expand(v); got != want.String() {
			t.Errorf("%q gives %q, want %q", text.String(), got, want.String())
		}
		if tmpl.UsesIdentity() != identity {
			t.Errorf("%q: UsesIdentity is %v", text.String(), !identity)
		}
	})
}

// Doubling the braces protects any text; and what compiles depends on the
// worker's place only if it says so.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{"{slot}", "{8080+index}", "{{", "}", "{count-1}}}", `{"a":1}`, "{slot"} {
		f.Add(s)
	}
	double := strings.NewReplacer("{", "{{", "}", "}}")
	f.Fuzz(func(t *testing.T, s string) {
		literal, err := Compile(double.Replace(s))
		if err != nil || literal.UsesIdentity() || literal.Expand(Values{Slot: 7}) != s {
			t.Errorf("%q doubled gives %q, %v", s, literal.Expand(Values{}), err)
		}
		tmpl, err := Compile(s)
		if err != nil {
			if !strings.HasPrefix(err.Error(), `cannot expand "{`) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		one := tmpl.Expand(Values{Slot: 1, Index: 0, Count: 2})
		two := tmpl.Expand(Values{Slot: 2, Index: 1, Count: 2})
		if one != two && !tmpl.UsesIdentity() {
			t.Errorf("%q: %q and %q without an identity", s, one, two)
		}
	})
}
