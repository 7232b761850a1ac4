package entrypoint

import (
	"fmt"
	"strings"

	"github.com/kballard/go-shellquote"
)

// Source is where a setting's value comes from.
type Source int

// The sources, each outranked by those after it.
const (
	SourceDefault     Source = iota
	SourceInherited          // the brood around this one set the variable
	SourceProgram            // a service written in Go, in its code
	SourceFile               // --env-file
	SourceEnvironment        // BROOD_*
	SourceFlag
)

// String is the source as logs and check name it.
func (s Source) String() string {
	return [...]string{"default", "inherited", "program", "env-file", "environment", "flag"}[s]
}

// Explicit reports whether somebody has chosen the value for this brood.
func (s Source) Explicit() bool { return s >= SourceProgram }

// value is one setting and where it comes from. A source replaces what lower
// ones gave and leaves alone what higher ones gave, so sources can be read in
// any order. A value that is outranked is not even parsed.
type value[T any] struct {
	Value  T
	Source Source

	given []string // the texts that made Value
	kind  kind
	deaf  bool // to the environment
	parse func(earlier T, text string) (T, error)
}

type kind int

const (
	kindScalar kind = iota
	kindToggle      // a flag without a value turns it on
	kindList        // repeatable; a variable holds several, split like a shell does
)

// field is a value of any type.
type field interface {
	// Set takes the value of a flag.
	Set(text string) error
	// Decode takes the content of an environment variable; blank is unset.
	Decode(text string) error
	String() string
	Type() string

	// read is Decode for any source.
	read(text string, from Source) error
	// take parses one text; more of the same source add to a list.
	take(text string, from Source) error
	source() Source
	texts() []string
	is(kind) bool
}

// scalar binds v to the parser of a setting that has one value.
func scalar[T any](v *value[T], parse func(text string) (T, error)) field {
	v.parse = func(_ T, text string) (T, error) { return parse(text) }
	return v
}

// toggle binds a switch.
func toggle(v *value[bool]) field {
	v.kind = kindToggle
	return scalar(v, parseBool)
}

// list binds v to the parser of a repeatable setting, which gets what there is
// already and adds to it.
func list[T any](v *value[[]T], add func(earlier []T, text string) ([]T, error)) field {
	v.kind, v.parse = kindList, add
	return v
}

// choice binds v to a fixed set of words.
func choice[T ~string](v *value[T], choices []string) field {
	return scalar(v, func(text string) (T, error) {
		word, err := parseChoice(text, choices)
		return T(word), err
	})
}

func (v *value[T]) Set(text string) error {
	if text == "--" {
		return &badValue{text, "the value is missing"}
	}
	return v.take(text, SourceFlag)
}

func (v *value[T]) Decode(text string) error {
	if v.deaf {
		return nil
	}
	return v.read(text, SourceEnvironment)
}

func (v *value[T]) read(text string, from Source) error {
	if strings.TrimSpace(text) == "" || from < v.Source {
		return nil
	}
	if v.kind != kindList {
		return v.take(text, from)
	}
	words, err := shellquote.Split(text)
	if err != nil {
		return &badValue{text, unbalanced}
	}
	for _, word := range words {
		if err := v.take(word, from); err != nil {
			return err
		}
	}
	return nil
}

func (v *value[T]) take(text string, from Source) error {
	if from < v.Source {
		return nil
	}
	earlier, given := v.Value, v.given
	if from > v.Source || v.kind != kindList {
		var zero T
		earlier, given = zero, nil
	}
	parsed, err := v.parse(earlier, text)
	if err != nil {
		return &badValue{text, err.Error()}
	}
	v.Value, v.Source, v.given = parsed, from, append(given, text)
	return nil
}

// String is the value as it was given; it makes no secret of it.
func (v *value[T]) String() string {
	if v.kind == kindList {
		return shellquote.Join(v.given...)
	}
	return strings.Join(v.given, " ")
}

// Type is pflag's and cobra's, which offers "Slice" again after it was given.
func (v *value[T]) Type() string {
	return [...]string{kindScalar: "value", kindToggle: "bool", kindList: "valueSlice"}[v.kind]
}

func (v *value[T]) source() Source  { return v.Source }
func (v *value[T]) texts() []string { return v.given }
func (v *value[T]) is(k kind) bool  { return v.kind == k }

// badValue is a text that a parser refused, and what to write instead.
type badValue struct{ text, remedy string }

func (e *badValue) Error() string { return fmt.Sprintf("%q: %s", e.text, e.remedy) }
