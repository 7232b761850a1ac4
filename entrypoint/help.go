package entrypoint

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is that of a plain terminal.
const helpWidth = 80

const (
	tagline = "PID 1 of a container that runs N copies of one service"

	summary = `brood starts N copies of a service, one for each CPU that the container may use
unless told otherwise, adopts and reaps orphans, passes signals on, and stops
everybody within a known time, the finish hook included.`

	serviceSummary = `It is its own brood, by github.com/brood-init/brood/service: it starts itself
as its workers, one for each CPU that the container may use unless told
otherwise. Words after -- are the program's own, for it to say what they mean.`

	docsURL = "https://github.com/brood-init/brood/tree/main/docs"
)

// example is a command line with what it does.
type example struct{ line, does string }

func examples() []example {
	return []example{
		{"brood -- ./service --port 8080", "a worker for each CPU of the container"},
		{"brood -n 4 --finish ./flush -- ./service", "four workers, and a last command after them"},
		{"brood --env 'PORT={8080+index}' -- ./service", "a port of its own for each worker"},
		{"brood check -n auto -- ./service", "what would run here and why"},
	}
}

// code is a row of the exit-code table.
type code struct{ code, means string }

func exitCodes() []code {
	return []code{
		{"0", "stopped as asked, or all workers completed with 0"},
		{"1-255", "that of the first worker that failed; 128+n when signal n ended it"},
		{"2", "a command line or setting that cannot be used"},
		{"124", "the finish hook ran out of time"},
		{"125", "brood itself failed"},
		{"126", "the command cannot be executed"},
		{"127", "the command was not found"},
		{"137", "a process had to be killed because it did not stop in time"},
	}
}

// signalDoc is a row of the table of signals.
type signalDoc struct{ arrives, does string }

func signalDocs() []signalDoc {
	return []signalDoc{
		{"TERM, INT, QUIT", "stop; a further one ends the current phase of the stop"},
		{"HUP", "reload: all workers are replaced, slot by slot; with a controlling terminal stop"},
		{"TTIN, TTOU", "one worker more, one less"},
		{"USR1, USR2, WINCH, CONT, TSTP, real-time and most others", "forwarded to each worker"},
		{"CHLD, PIPE, URG, PROF and the fatal ones", "brood's own, never forwarded"},
	}
}

// usageLines are the forms of a command line.
func (p Program) usageLines() []string {
	if p.Service != nil {
		return []string{
			p.Name + " [flags] [-- words of the program's own...]",
			p.Name + " check [flags] [-- words...]",
			p.Name + " status|health|events [flags]",
			p.Name + " scale|reload|stop [flags]",
			p.Name + " version|completion|help",
		}
	}
	return []string{
		"brood [flags] [--] command [args...]",
		"brood check [flags] -- command [args...]",
		"brood status|health|events [flags]",
		"brood scale|reload|stop [flags]",
		"brood version|completion|help",
	}
}

// writeUsage is the short form, for a command line with nothing on it.
func writeUsage(w io.Writer) {
	fmt.Fprintf(w, "brood: %s\n\nUsage:\n", tagline)
	for _, l := range (Program{}).usageLines() {
		fmt.Fprintf(w, "  %s\n", l)
	}
	fmt.Fprintln(w, "\nbrood --help says more.")
}

func (p Program) writeHelp(w io.Writer) {
	if p.Service != nil {
		fmt.Fprintf(w, "%s: a service that runs N copies of itself\n\n%s\n\nUsage:\n", p.Name, serviceSummary)
	} else {
		fmt.Fprintf(w, "brood: %s\n\n%s\n\nUsage:\n", tagline, summary)
	}
	for _, l := range p.usageLines() {
		fmt.Fprintf(w, "  %s\n", l)
	}
	if p.Service == nil {
		fmt.Fprint(w, "\nExamples:\n")
		for _, e := range examples() {
			fmt.Fprintf(w, "  %-48s %s\n", e.line, e.does)
		}
	}
	fmt.Fprint(w, "\nFlags end at the first word that is none, or at --. Each flag has a variable; a\n"+
		"flag outranks its variable, that outranks --env-file, that outranks the default.\n")
	writeFlags(w)
	fmt.Fprint(w, "\nOther flags:\n  -h, --help                       this text\n      --version                    the version\n")
	fmt.Fprint(w, "\nWhat signals do:\n")
	for _, s := range signalDocs() {
		fmt.Fprintf(w, "  %s\n        %s\n", s.arrives, s.does)
	}
	fmt.Fprint(w, "\nExit codes:\n")
	for _, c := range exitCodes() {
		fmt.Fprintf(w, "  %-7s%s\n", c.code, c.means)
	}
	fmt.Fprintf(w, "\nDocumentation: %s\n", docsURL)
}

// writeFlags writes the table, a line with flag, variable and default for each
// row and its meaning below.
func writeFlags(w io.Writer) {
	group := ""
	for _, row := range table() {
		if row.group != group {
			group = row.group
			fmt.Fprintf(w, "\n%s:\n", group)
		}
		fmt.Fprintf(w, "%-34s %s (default %s)\n", row.usage(), row.variable(), row.standard())
		for _, l := range wrap(row.meaning(), 72) {
			fmt.Fprintf(w, "        %s\n", l)
		}
	}
}

// usage is the flag with its shorthand and its value, indented.
func (r setting) usage() string {
	short := "      "
	if r.shorthand != "" {
		short = "  -" + r.shorthand + ", "
	}
	return strings.TrimRight(short+"--"+r.name+" "+r.value, " ")
}

// meaning is the help sentence, with the choices if there are any.
func (r setting) meaning() string {
	if len(r.choices) == 0 {
		return r.help
	}
	return r.help + ": " + orList(r.choices)
}

// writeVerbHelp is the help of one verb.
func (p Program) writeVerbHelp(w io.Writer, verb *cobra.Command) {
	if !verb.HasParent() {
		p.writeHelp(w)
		return
	}
	fmt.Fprintf(w, "%s %s: %s\n\nUsage:\n  %s %s\n", p.name(), verb.Name(), verb.Short, p.name(), verb.Use)
	if verb.Long != "" {
		fmt.Fprintf(w, "\n%s\n", verb.Long)
	}
	if verb.Name() == "check" {
		return // it has those of brood itself
	}
	if flags := verb.LocalFlags().FlagUsagesWrapped(helpWidth); flags != "" {
		fmt.Fprintf(w, "\nFlags:\n%s", flags)
	}
}

// wrap breaks text at spaces into lines of at most width bytes, if its words
// allow it.
func wrap(text string, width int) []string {
	var lines []string
	current := ""
	for word := range strings.FieldsSeq(text) {
		if current != "" && len(current)+1+len(word) > width {
			lines = append(lines, current)
			current = ""
		}
		if current != "" {
			current += " "
		}
		current += word
	}
	return append(lines, current)
}

// orList is "a, b or c".
func orList(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
