package entrypoint

import (
	"io"

	"github.com/spf13/pflag"
)

// commandLine is a command line taken apart.
type commandLine struct {
	command       []string
	dashed        bool // the command stands after --
	help, version bool
}

// parseLine gives the rows what the flags say. Flags end at the first word
// that is none, or at --.
func parseLine(rows []bound, args []string) (commandLine, error) {
	if len(args) > 0 && args[0] == "--" {
		// As in every Dockerfile: no flags, and no time spent on them.
		return commandLine{command: args[1:], dashed: true}, nil
	}
	var l commandLine
	set := flags(rows, &l)
	if err := set.Parse(args); err != nil {
		return commandLine{}, flagError(rows, err)
	}
	if l.help || l.version {
		return l, ErrHelp
	}
	var err error
	l.command, err = commandIn(set)
	l.dashed = set.ArgsLenAtDash() >= 0
	return l, err
}

// commandIn is what a parsed set leaves: the command, which needs -- before it
// when it is called like a verb.
func commandIn(set *pflag.FlagSet) ([]string, error) {
	command := set.Args()
	if set.ArgsLenAtDash() < 0 && len(command) > 0 {
		if word := command[0]; isVerb(word) {
			return nil, misplacedVerb(word)
		}
	}
	return command, nil
}

// flags makes pflag's set of the rows.
func flags(rows []bound, l *commandLine) *pflag.FlagSet {
	set := pflag.NewFlagSet("brood", pflag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.SetInterspersed(false)
	set.SortFlags = false
	all := make([]pflag.Flag, len(rows))
	for i, row := range rows {
		all[i] = pflag.Flag{Name: row.name, Shorthand: row.shorthand, Usage: row.help, Value: row.field, DefValue: row.standard()}
		if row.field.is(kindToggle) {
			all[i].NoOptDefVal = "on"
		}
		set.AddFlag(&all[i])
	}
	set.BoolVarP(&l.help, "help", "h", false, "say what brood does and how")
	set.BoolVar(&l.version, "version", false, "print the version")
	return set
}
