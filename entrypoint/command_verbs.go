package entrypoint

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// runVerb runs the verb that args begins with and returns the exit code.
func (p Program) runVerb(args, environ []string, stdout, stderr io.Writer, on system) int {
	code := 0
	root := newRoot(caller{p, environ}, on, &code)
	root.SetArgs(numbersAreWords(args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.Execute(); err != nil {
		return p.complain(stderr, err)
	}
	return code
}

// caller is who uses a verb.
type caller struct {
	Program
	environ []string
}

// newRoot is brood as cobra knows it: the verbs, and for completion all flags.
// A verb that ends with another code than 0 and 2 puts it into code.
func newRoot(from caller, on system, code *int) *cobra.Command {
	rows := bind(new(settings))
	root := &cobra.Command{
		Use:   from.usageLines()[0],
		Short: tagline,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault // the command to run
		},
		RunE:          func(*cobra.Command, []string) error { return errNoCommand() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	addFlags(root, rows, new(commandLine))
	root.SetHelpFunc(func(verb *cobra.Command, _ []string) { from.writeVerbHelp(verb.OutOrStdout(), verb) })
	root.SetHelpCommand(helpVerb(from.Program))
	root.AddCommand(statusVerb(from, code), scaleVerb(from, code), reloadVerb(from, code), stopVerb(from, code), eventsVerb(from, code), healthVerb(from, code),
		checkVerb(from, on, code), versionVerb(), completionVerb())
	root.SetFlagErrorFunc(func(verb *cobra.Command, err error) error {
		if verb.Name() != "check" {
			return flagError(nil, err) // it has no flag of the table to suggest
		}
		return flagError(rows, err)
	})
	return root
}

// addFlags gives a command the flags of the table as brood parses them.
func addFlags(c *cobra.Command, rows []bound, l *commandLine) {
	c.Args = cobra.ArbitraryArgs
	c.Flags().SortFlags = false
	c.Flags().SetInterspersed(false)
	c.Flags().AddFlagSet(flags(rows, l))
	offerValues(c, rows)
}

func helpVerb(p Program) *cobra.Command {
	return &cobra.Command{
		Use:       "help [verb]",
		Short:     "say what brood or one of its verbs does",
		Args:      cobra.ArbitraryArgs,
		ValidArgs: verbs[:],
		RunE: func(help *cobra.Command, args []string) error {
			if len(args) == 0 {
				p.writeHelp(help.OutOrStdout())
				return nil
			}
			for _, verb := range help.Root().Commands() {
				if verb.Name() == args[0] {
					return verb.Help()
				}
			}
			return &UsageError{Setting: "help", Value: args[0], Remedy: "there is no such verb, want " + orList(verbs[:])}
		},
	}
}

func versionVerb() *cobra.Command {
	output := "text"
	verb := &cobra.Command{
		Use:   "version [-o text|json]",
		Short: "print the version; as JSON with commit, date and platform",
		Args:  noMoreWords,
		RunE: func(verb *cobra.Command, _ []string) error {
			switch output {
			case "text":
				writeVersion(verb.OutOrStdout())
				return nil
			case "json":
				return writeVersionJSON(verb.OutOrStdout())
			}
			return &UsageError{Setting: "--output", Value: output, Remedy: "want text or json"}
		},
	}
	verb.Flags().StringVarP(&output, "output", "o", output, "text or json")
	return verb
}

// noMoreWords refuses words after a verb that takes none.
func noMoreWords(verb *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &UsageError{
		Setting: verb.Name(), Value: args[0],
		Remedy: "it takes no more words; a command called " + verb.Name() + " needs -- before it",
	}
}

// failed makes an error of a verb one line on stderr and a code of its own:
// 1, as for everything that is not up; wrong words are still usage errors.
func failed(verb *cobra.Command, code *int, err error) error {
	var usage *UsageError
	if err == nil || errors.As(err, &usage) {
		return err
	}
	fmt.Fprintln(verb.ErrOrStderr(), verb.Root().Name()+":", err)
	*code = 1
	return nil
}
