package entrypoint

import (
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
)

// CodeUsage is the exit code for a command line or setting that is wrong.
const CodeUsage = 2

// verbs are the first words that are no command to run. Words are only added
// with a new major version.
var verbs = [...]string{"status", "scale", "reload", "stop", "events", "health", "check", "version", "completion", "help"}

func isVerb(word string) bool { return slices.Contains(verbs[:], word) }

// dispatch answers every command line that runs no worker: a verb, a question
// for help or the version, and none at all. handled is false when there is
// something to run; then it has cost nothing, and Load is next. environ is as
// for Load.
func (p Program) dispatch(args, environ []string, stdout, stderr io.Writer) (handled bool, code int) {
	if len(args) == 0 && p.Service == nil {
		writeUsage(stderr)
		return true, CodeUsage
	}
	switch word := first(args); {
	case isVerb(word), isCompletionRequest(word):
		signal.Reset() // a verb ends by Ctrl-C like any command
		return true, p.runVerb(args, environ, stdout, stderr, newSystem())
	case !mayAskForHelp(args):
		return false, 0
	}
	parsed, err := parseLine(bind(new(settings)), args)
	switch {
	case !errors.Is(err, ErrHelp):
		return false, 0 // Load will say what is wrong
	case parsed.help:
		p.writeHelp(stdout)
	default:
		writeVersion(stdout)
	}
	return true, 0
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// mayAskForHelp reports whether parsing args for --help, -h or --version is
// worth the time: almost never, but with them in front of the command always.
func mayAskForHelp(args []string) bool {
	for _, arg := range args {
		switch {
		case arg == "--":
			return false
		case strings.HasPrefix(arg, "--help"), strings.HasPrefix(arg, "--version"):
			return true
		case strings.HasPrefix(arg, "-") && !strings.HasPrefix(arg, "--") && strings.Contains(arg, "h"):
			return true
		}
	}
	return false
}

// complain writes the one line that a wrong command line gets, and is the code
// to exit with.
func (p Program) complain(stderr io.Writer, err error) int {
	fmt.Fprintln(stderr, p.name()+":", err)
	return CodeUsage
}

// misplacedVerb refuses a verb where a command is.
func misplacedVerb(word string) error {
	return &UsageError{Setting: word, Remedy: fmt.Sprintf("it is a verb, which comes first: brood %s; a command of that name needs -- before it", word)}
}
