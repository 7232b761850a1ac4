package entrypoint

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
)

// UsageError is a command line or a setting that cannot be honoured; brood
// exits with 2 before it has started anything. Its text is one line.
type UsageError struct {
	Setting string // as the user gave it: --flag, BROOD_X, BROOD_X in FILE
	Value   string // what it was; empty when there is none or it is secret
	Remedy  string // what to write instead

	cause error // may be nil
}

// Unwrap is what the system or another package has said.
func (e *UsageError) Unwrap() error { return e.cause }

func (e *UsageError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("cannot use %s: %s", oneLine(e.Setting), oneLine(e.Remedy))
	}
	return fmt.Sprintf("cannot use %s %s: %s", oneLine(e.Setting), quote(e.Value), oneLine(e.Remedy))
}

const seeHelp = " (--help lists all)"

// quote shows a value within one line, cut when it is very long.
func quote(value string) string {
	const longest = 80
	if len(value) <= longest {
		return strconv.Quote(value)
	}
	cut := longest
	for cut > 0 && !utf8.RuneStart(value[cut]) {
		cut--
	}
	return strconv.Quote(value[:cut]) + "..."
}

// oneLine makes a line of what may contain names chosen by others.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// refuse tells the user about a bad value of the row. as is the setting as the
// user gave it.
func (r setting) refuse(as string, bad *badValue) *UsageError {
	e := &UsageError{Setting: as, Value: r.public(bad.text), Remedy: bad.remedy}
	if bad.text == "" {
		e.Remedy = "it is empty, " + bad.remedy
	}
	return e
}

// public is what may be shown of a text given for the row.
func (r setting) public(text string) string {
	if !r.secret {
		return text
	}
	key, _, ok := strings.Cut(text, "=")
	if !ok {
		return ""
	}
	return key
}

// flagError makes a UsageError of what pflag says.
func flagError(rows []bound, err error) error {
	var (
		invalid *pflag.InvalidValueError
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		syntax  *pflag.InvalidSyntaxError
		bad     *badValue
	)
	switch {
	case errors.As(err, &bad) && errors.As(err, &invalid):
		name := invalid.GetFlag().Name
		return rowNamed(rows, name).refuse("--"+name, bad)
	case errors.As(err, &invalid):
		return &UsageError{Setting: "--" + invalid.GetFlag().Name, Value: invalid.GetValue(), Remedy: "it takes no value"}
	case errors.As(err, &missing):
		row := rowNamed(rows, missing.GetFlag().Name)
		return &UsageError{Setting: "--" + row.name, Remedy: "the value is missing, want " + row.value}
	case errors.As(err, &unknown):
		return unknownFlag(rows, unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames())
	case errors.As(err, &syntax):
		return &UsageError{Setting: syntax.GetSpecifiedFlag(), Remedy: "there is no such flag" + seeHelp}
	}
	return err
}

func unknownFlag(rows []bound, name, cluster string) *UsageError {
	e := &UsageError{Setting: "--" + name, Remedy: "there is no such flag"}
	if cluster != "" {
		// A name after one dash reads as a cluster of one-letter flags.
		e.Setting, name = "-"+cluster, cluster
	}
	name, _, _ = strings.Cut(name, "=")
	if near := nearest(name, names(rows)); near != "" {
		e.Remedy += ", did you mean --" + near + "?"
	}
	e.Remedy += seeHelp
	return e
}

// environmentError makes a UsageError of what envconfig says.
func environmentError(rows []bound, err error) error {
	var parse *envconfig.ParseError
	var bad *badValue
	if !errors.As(err, &parse) || !errors.As(parse.Err, &bad) {
		return err
	}
	for _, row := range rows {
		if row.variable() == parse.KeyName {
			return row.refuse(parse.KeyName, bad)
		}
	}
	return err
}

func rowNamed(rows []bound, name string) *setting {
	for _, row := range rows {
		if row.name == name {
			return row.setting
		}
	}
	return &setting{name: name}
}

func names(rows []bound) []string {
	all := make([]string, len(rows))
	for i, row := range rows {
		all[i] = row.name
	}
	return all
}
