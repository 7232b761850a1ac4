package entrypoint

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kballard/go-shellquote"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/expand"
	"github.com/brood-init/brood/pidfiles"
)

// LogFormat is how brood's own lines look.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

const unbalanced = "its quotes are not balanced, write it as for a shell"

func parseText(text string) (string, error) { return text, nil }

func parseBool(text string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "on", "true", "yes", "1":
		return true, nil
	case "off", "false", "no", "0":
		return false, nil
	}
	return false, errors.New("want on or off")
}

func parseChoice(text string, choices []string) (string, error) {
	if word := strings.ToLower(strings.TrimSpace(text)); slices.Contains(choices, word) {
		return word, nil
	}
	last := len(choices) - 1
	return "", errors.New("want " + strings.Join(choices[:last], ", ") + " or " + choices[last])
}

func parseLevel(text string) (slog.Level, error) {
	word, err := parseChoice(text, []string{"debug", "info", "warn", "error"})
	var level slog.Level
	if err == nil {
		err = level.UnmarshalText([]byte(word))
	}
	return level, err
}

// parseCommand splits a hook's command line into its argv; a blank one is no
// hook, which is how a flag takes back what the environment says.
func parseCommand(text string) ([]string, error) {
	words, err := shellquote.Split(text)
	switch {
	case err != nil:
		return nil, errors.New(unbalanced)
	case len(words) == 0:
		return nil, nil
	case words[0] == "":
		return nil, errors.New("its first word is empty, write the program there")
	}
	return words, nil
}

// shellSyntax is the first word of a hook that means something to a shell
// only, or empty. Hooks are run directly, so it would be an odd argument.
func shellSyntax(argv []string) string {
	if len(argv) > 0 && slices.Contains([]string{"sh", "bash", "dash", "ash", "zsh", "busybox"}, filepath.Base(argv[0])) {
		return ""
	}
	for _, word := range argv {
		switch word {
		case "&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1":
			return word
		}
		if strings.ContainsAny(word, "`$") || strings.HasSuffix(word, ";") {
			return word
		}
	}
	return ""
}

func parsePidfile(text string) (pidfiles.Pattern, error) {
	if strings.TrimSpace(text) == "" {
		return pidfiles.Pattern{}, errors.New("want DIR/NAME.pid, or leave the setting out")
	}
	pattern, err := pidfiles.Parse(text)
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without the value, which is told anyway
	}
	return pattern, err
}

// addVariable reads KEY=VALUE. No error repeats any part of VALUE. Of two with
// the same KEY the last one counts.
func addVariable(earlier []fanout.Variable, text string) ([]fanout.Variable, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok || key == "" || strings.ContainsAny(key, " \t\r\n") {
		return nil, errors.New("want KEY=VALUE, with quotes around it if there are spaces in VALUE")
	}
	if isIdentity(key) || key == fanout.EnvPIDFile {
		return nil, errors.New("brood itself sets this variable for each worker, choose another name")
	}
	template, err := expand.Compile(value)
	if err != nil {
		return nil, errors.New("its value has braces that are none of {slot}, {index}, {count} and {8080+index}: double them, {{ is a brace")
	}
	kept := slices.DeleteFunc(earlier, func(v fanout.Variable) bool { return v.Key == key })
	return append(kept, fanout.Variable{Key: key, Value: template}), nil
}
