package entrypoint

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brood-init/brood/control"
)

// numbersAreWords lets "brood scale -1" be what it looks like.
func numbersAreWords(args []string) []string {
	if len(args) == 0 || args[0] != "scale" {
		return args
	}
	number := regexp.MustCompile(`^-[0-9]+$`)
	i := slices.IndexFunc(args, number.MatchString)
	if i < 0 || slices.Contains(args[:i], "--") {
		return args
	}
	rest := slices.Concat(args[:i], args[i+1:])
	return append(rest, "--", args[i])
}

// scaleVerb changes the number of workers.
func scaleVerb(from caller, code *int) *cobra.Command {
	verb := &cobra.Command{
		Use:   "scale N|+1|-1|auto",
		Short: "change how many workers a running brood wants",
		Long: `Up starts the lowest free slots, down ends the highest. auto is what the container's
limits allow, and follows them again. A reload keeps the number; a restart of
brood itself does not.`,
		ValidArgs: []string{"auto"},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &UsageError{Setting: "scale", Remedy: "want one number, +1, -1 or auto"}
			}
			if _, err := control.ParseScale(args[0]); err != nil {
				return &UsageError{Setting: "scale", Value: args[0], Remedy: "want a number, +1, -1 or auto"}
			}
			return nil
		},
	}
	find := newFinder(verb, from)
	verb.RunE = func(verb *cobra.Command, args []string) error {
		client, err := find.client()
		if err != nil {
			return failed(verb, code, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		before, after, err := client.Scale(ctx, args[0])
		if err != nil {
			return failed(verb, code, err)
		}
		_, err = fmt.Fprintf(verb.OutOrStdout(), "wanted workers: %d, before: %d\n", after, before)
		return err
	}
	return verb
}

// reloadVerb replaces all workers, and its code is the verdict.
func reloadVerb(from caller, code *int) *cobra.Command {
	verb := &cobra.Command{
		Use:   "reload",
		Short: "replace all workers of a running brood, and wait until that is done",
		Long: `Slot by slot, the next only when the last is ready. The first failure ends it: the
code is 1 then, and the workers that were not replaced go on.`,
		Args: noMoreWords,
	}
	followed(verb, from, code, (*control.Client).Reload, "reloading", "worker started", "worker takes longer to end", "worker replaced", "worker exited", "reloaded")
	return verb
}

// stopVerb stops a brood and waits until it has left.
func stopVerb(from caller, code *int) *cobra.Command {
	verb := &cobra.Command{
		Use:   "stop",
		Short: "stop a running brood as SIGTERM does, and wait until it has left",
		Args:  noMoreWords,
	}
	followed(verb, from, code, (*control.Client).Stop, "stopping", "worker exited", "grace over, killing", "hook finished", "exiting")
	return verb
}

// followed makes a verb of a request that takes its time, and shows which of
// the brood's messages come meanwhile.
func followed(verb *cobra.Command, from caller, code *int, ask func(*control.Client, context.Context, func([]byte) error) error, messages ...string) {
	find := newFinder(verb, from)
	verb.RunE = func(verb *cobra.Command, _ []string) error {
		client, err := find.client()
		if err != nil {
			return failed(verb, code, err)
		}
		return failed(verb, code, ask(client, context.Background(), func(line []byte) error {
			return showProgress(verb.OutOrStdout(), line, messages...)
		}))
	}
}

// showProgress prints those events that a waiting user wants to see.
func showProgress(w io.Writer, text []byte, messages ...string) error {
	var ev struct {
		Msg    string
		Slot   int
		PID    int
		Code   *int
		Reason string
	}
	if json.Unmarshal(text, &ev) != nil || !slices.ContainsFunc(messages, func(m string) bool { return strings.HasPrefix(ev.Msg, m) }) {
		return nil
	}
	line := ev.Msg
	if ev.Slot != 0 {
		line += fmt.Sprintf(" slot=%d", ev.Slot)
	}
	if ev.PID != 0 {
		line += fmt.Sprintf(" pid=%d", ev.PID)
	}
	if ev.Code != nil {
		line += fmt.Sprintf(" code=%d", *ev.Code)
	}
	if ev.Reason != "" {
		line += " reason=" + ev.Reason
	}
	_, err := fmt.Fprintln(w, oneLine(line))
	return err
}
