package entrypoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/control"
)

// askTimeout is how long a verb waits for the brood's answer.
const askTimeout = 5 * time.Second

// statusVerb prints what the workers do; the code is 0 only when all are up.
func statusVerb(environ []string, code *int) *cobra.Command {
	output := "text"
	verb := &cobra.Command{
		Use:   "status [-o text|json]",
		Short: "print what the workers of a running brood do",
		Long: `The code is 0 when all wanted workers are ready, else 1. The JSON is stable: its
fields are added to, never renamed.`,
		Args: noMoreWords,
	}
	find := newFinder(verb, environ)
	verb.Flags().StringVarP(&output, "output", "o", output, "text or json")
	verb.RunE = func(verb *cobra.Command, _ []string) error {
		if output != "text" && output != "json" {
			return &UsageError{Setting: "--output", Value: output, Remedy: "want text or json"}
		}
		client, err := find.client()
		if err != nil {
			return failed(verb, code, err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		status, err := client.Status(ctx)
		if err != nil {
			return failed(verb, code, err)
		}
		if status.Ready < status.Wanted || status.Wanted == 0 {
			*code = 1
		}
		if output == "json" {
			encoder := json.NewEncoder(verb.OutOrStdout())
			encoder.SetIndent("", "  ")
			return encoder.Encode(status)
		}
		return writeStatus(verb.OutOrStdout(), status)
	}
	return verb
}

func writeStatus(w io.Writer, s control.Status) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SLOT\tPID\tSTATE\tREADY\tUPTIME\tRESTARTS\tCPU\tRSS\tLAST-EXIT")
	for _, slot := range s.Slots {
		pid, uptime, cpu, rss := "-", "-", "-", "-"
		if slot.PID != 0 {
			pid, uptime = strconv.Itoa(slot.PID), shortDuration(slot.UptimeSeconds)
			cpu, rss = shortDuration(slot.CPUSeconds), mebibytes(slot.RSSBytes)
		}
		ready := "no"
		if slot.Ready {
			ready = "yes"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n",
			slot.Slot, pid, slot.State, ready, uptime, slot.Restarts, cpu, rss, lastExit(slot.LastExit))
	}
	for _, p := range s.Registered {
		fmt.Fprintf(table, "%d\t%d\tregistered\t-\t-\t-\t-\t-\t-\n", p.Index, p.PID)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !s.Serves {
		_, err := fmt.Fprintln(w, s.Reason)
		return err
	}
	return nil
}

func lastExit(x *control.LastExit) string {
	if x == nil {
		return "-"
	}
	how := strconv.Itoa(x.Code)
	if x.Signal != "" {
		how += "(" + x.Signal + ")"
	}
	return how + " " + x.Reason
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
func healthVerb(environ []string, code *int) *cobra.Command {
	live := false
	verb := &cobra.Command{
		Use:   "health [--live]",
		Short: "exit with 0 when enough workers are ready, else with 1",
		Long:  `For HEALTHCHECK and exec probes in images without curl: the same as /readyz, and with --live as /livez.`,
		Args:  noMoreWords,
	}
	find := newFinder(verb, environ)
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
func eventsVerb(environ []string, code *int) *cobra.Command {
	verb := &cobra.Command{
		Use:   "events",
		Short: "print what happens from now on, one JSON object per line",
		Args:  noMoreWords,
	}
	find := newFinder(verb, environ)
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
