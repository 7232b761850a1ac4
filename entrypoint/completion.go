package entrypoint

import (
	"strings"

	"github.com/spf13/cobra"
)

// isCompletionRequest reports whether a completion script of ours is asking.
func isCompletionRequest(word string) bool {
	return word == cobra.ShellCompRequestCmd || word == cobra.ShellCompNoDescRequestCmd
}

// completionVerb prints the script that makes a shell ask brood itself, so
// that flags and their values are always those of the binary that is there.
func completionVerb() *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:       "completion " + strings.Join(shells, "|"),
		Short:     "print a completion script, for example: source <(brood completion bash)",
		ValidArgs: shells,
		Args:      cobra.ArbitraryArgs,
		RunE: func(verb *cobra.Command, args []string) error {
			root, out := verb.Root(), verb.OutOrStdout()
			switch strings.Join(args, " ") {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return &UsageError{Setting: "completion", Value: strings.Join(args, " "), Remedy: "want " + orList(shells)}
		},
	}
}

// offerValues completes the flags' values: the choices, or the default to show
// what a value looks like. Files are offered where they make sense only.
func offerValues(c *cobra.Command, rows []bound) {
	for _, row := range rows {
		offer, directive := row.choices, cobra.ShellCompDirectiveNoFileComp
		switch {
		case row.value == "FILE" || row.value == "COMMAND":
			directive = cobra.ShellCompDirectiveDefault
		case row.field.is(kindToggle):
			offer = []string{"on", "off"}
		case len(offer) == 0 && row.fallback != "":
			offer = []string{row.fallback}
		}
		if err := c.RegisterFlagCompletionFunc(row.name, cobra.FixedCompletions(offer, directive)); err != nil {
			panic(err) // the row is there, flags has added it
		}
	}
}
