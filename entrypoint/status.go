package entrypoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/control"
	"github.com/brood-init/brood/internal/tty"
)

// askTimeout is how long a verb waits for the brood's answer.
const askTimeout = 5 * time.Second

// statusVerb prints what the workers do; the code is 0 only when all are up.
func statusVerb(from caller, code *int) *cobra.Command {
	output, watch := "text", false
	verb := &cobra.Command{
		Use:   "status [-o text|wide|json] [--watch] [slot...]",
		Short: "print what the workers of a running brood do",
		Long: `The code is 0 when all wanted workers are ready, else 1. The JSON is stable: its
fields are added to, never renamed.`,
	}
	find := newFinder(verb, from)
	verb.Flags().StringVarP(&output, "output", "o", output, "text, wide or json")
	verb.Flags().BoolVarP(&watch, "watch", "w", false, "print it again every second, until brood leaves")
	verb.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return find.slots(), cobra.ShellCompDirectiveNoFileComp
	}
	verb.RunE = func(verb *cobra.Command, args []string) error {
		if output != "text" && output != "wide" && output != "json" {
			return &UsageError{Setting: "--output", Value: output, Remedy: "want text, wide or json"}
		}
		slots, err := parseSlots(args)
		if err != nil {
			return err
		}
		client, err := find.client()
		if err != nil {
			return failed(verb, code, err)
		}
		show := func() error {
			status, err := askStatus(client, slots)
			if err != nil {
				return err
			}
			*code = 0
			if status.Ready < status.Wanted || status.Wanted == 0 {
				*code = 1
			}
			if err := writeStatus(verb.OutOrStdout(), status, output); err != nil {
				return err
			}
			return missing(status, slots)
		}
		if err := show(); err != nil || !watch {
			return failed(verb, code, err)
		}
		for range time.Tick(time.Second) {
			fmt.Fprint(verb.OutOrStdout(), betweenLooks(verb.OutOrStdout()))
			if show() != nil {
				break // brood has left, as it may
			}
		}
		return nil
	}
	return verb
}

// missing is an error that names the lowest slot which was asked for and is not
// there.
func missing(s control.Status, slots map[int]bool) error {
	for _, number := range slices.Sorted(maps.Keys(slots)) {
		if !slices.ContainsFunc(s.Slots, func(there control.Slot) bool { return there.Slot == number }) {
			return fmt.Errorf("there is no slot %d: brood status without numbers lists all", number)
		}
	}
	return nil
}

// betweenLooks clears a terminal, and separates the looks elsewhere.
func betweenLooks(w io.Writer) string {
	if f, ok := w.(*os.File); ok && tty.IsTerminal(int(f.Fd())) {
		return "\x1b[H\x1b[2J"
	}
	return "\n"
}

func parseSlots(args []string) (map[int]bool, error) {
	slots := make(map[int]bool, len(args))
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 1 {
			return nil, &UsageError{Setting: "status", Value: arg, Remedy: "want the numbers of slots, or none for all; a command called status needs -- before it"}
		}
		slots[n] = true
	}
	return slots, nil
}

// askStatus leaves out the slots that were not asked for, if any were.
func askStatus(client *control.Client, slots map[int]bool) (control.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	if len(slots) > 0 {
		status.Slots = slices.DeleteFunc(status.Slots, func(s control.Slot) bool { return !slots[s.Slot] })
	}
	return status, err
}

// slots are the numbers of those that are there, for completion.
func (f *finder) slots() []string {
	client, err := f.client()
	if err != nil {
		return nil
	}
	status, err := askStatus(client, nil)
	if err != nil {
		return nil
	}
	numbers := make([]string, len(status.Slots))
	for i, s := range status.Slots {
		numbers[i] = strconv.Itoa(s.Slot) + "\t" + s.State
	}
	return numbers
}

func writeStatus(w io.Writer, s control.Status, output string) error {
	if output == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(s)
	}
	wide := output == "wide"
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	more := ""
	if wide {
		more = "\tINCARNATION\tLEADER\tREPLACING\tORPHANS\tZOMBIES\tADOPTED\tSTATUS\tLAST-LINE"
	}
	fmt.Fprintln(table, "SLOT\tPID\tSTATE\tREADY\tUPTIME\tRESTARTS\tCPU\tRSS\tLAST-EXIT"+more)
	for _, slot := range s.Slots {
		fmt.Fprintln(table, slotLine(slot, wide))
	}
	for _, p := range s.Registered {
		fmt.Fprintf(table, "%d\t%d\tregistered\t-\t-\t-\t-\t-\t-\n", p.Index, p.PID)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !s.Serves {
		_, err := fmt.Fprintln(w, oneLine(s.Reason))
		return err
	}
	return nil
}

func slotLine(slot control.Slot, wide bool) string {
	pid, uptime, cpu, rss := "-", "-", "-", "-"
	if slot.PID != 0 {
		pid, uptime = strconv.Itoa(slot.PID), shortDuration(slot.UptimeSeconds)
		cpu, rss = shortDuration(slot.CPUSeconds), mebibytes(slot.RSSBytes)
	}
	line := fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s",
		slot.Slot, pid, shownState(slot), yesNo(slot.Ready), uptime, slot.Restarts, cpu, rss, lastExit(slot.LastExit))
	if wide {
		zombies, adopted, last := "-", "-", ""
		if l := slot.Leaks; l != nil {
			zombies, adopted = strconv.Itoa(l.Zombies), strconv.Itoa(l.Adopted)
		}
		if slot.LastExit != nil {
			last = strings.ReplaceAll(slot.LastExit.LastLine, "\t", " ")
		}
		line += fmt.Sprintf("\t%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s", slot.Incarnation, yesNo(slot.Leader), orDash(slot.Replacing),
			slot.OrphansReaped, zombies, adopted, orDash(slot.Status), orDash(last))
	}
	return line
}

// shownState is the state, and "reloading" for a ready worker that says so.
func shownState(slot control.Slot) string {
	if slot.Reloading {
		return "reloading"
	}
	return oneLine(slot.State)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return oneLine(text)
}

func lastExit(x *control.LastExit) string {
	if x == nil {
		return "-"
	}
	how := strconv.Itoa(x.Code)
	if x.Signal != "" {
		how += "(" + x.Signal + ")"
	}
	return oneLine(how + " " + x.Reason)
}

// shortDuration keeps one unit below what matters: 0.3s, 42s, 3m10s, 5h2m.
func shortDuration(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	case d < time.Hour:
		return d.Round(time.Second).String()
	}
	return string(bytes.TrimSuffix([]byte(d.Round(time.Minute).String()), []byte("0s")))
}

func mebibytes(n int64) string { return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + "MiB" }

// healthVerb is what HEALTHCHECK and exec probes run, without curl.
func healthVerb(from caller, code *int) *cobra.Command {
	live := false
	verb := &cobra.Command{
		Use:   "health [--live]",
		Short: "exit with 0 when enough workers are ready, else with 1",
		Long:  `For HEALTHCHECK and exec probes in images without curl: the same as /readyz, and with --live as /livez.`,
		Args:  noMoreWords,
	}
	find := newFinder(verb, from)
	verb.Flags().BoolVar(&live, "live", false, "ask only whether brood itself answers")
	verb.RunE = func(verb *cobra.Command, _ []string) error {
		client, err := find.client()
		if err != nil {
			return failed(verb, code, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		if err := client.Health(ctx, live); err != nil {
			return failed(verb, code, err)
		}
		_, err = fmt.Fprintln(verb.OutOrStdout(), "ok")
		return err
	}
	return verb
}

// eventsVerb follows what happens until brood leaves.
func eventsVerb(from caller, code *int) *cobra.Command {
	verb := &cobra.Command{
		Use:   "events",
		Short: "print what happens from now on, one JSON object per line",
		Args:  noMoreWords,
	}
	find := newFinder(verb, from)
	verb.RunE = func(verb *cobra.Command, _ []string) error {
		client, err := find.client()
		if err != nil {
			return failed(verb, code, err)
		}
		err = client.Events(context.Background(), func(line []byte) error {
			_, err := fmt.Fprintf(verb.OutOrStdout(), "%s\n", line)
			return err
		})
		if errors.Is(err, unix.EPIPE) {
			return nil // the reader has seen enough, as head does
		}
		return failed(verb, code, err)
	}
	return verb
}
