package entrypoint

import (
	"fmt"
	"io"
	"strings"
)

// WriteManPage writes brood(1), for docs/brood.1.
func WriteManPage(w io.Writer) {
	fmt.Fprintf(w, ".\\\" Made by internal/gendocs; do not edit.\n.TH BROOD 1 \"\" \"brood %s\" \"User Commands\"\n", version)
	fmt.Fprintf(w, ".SH NAME\nbrood \\- %s\n", roff(tagline))
	fmt.Fprint(w, ".SH SYNOPSIS\n")
	for _, l := range (Program{}).usageLines() {
		fmt.Fprintf(w, ".B %s\n.br\n", roff(l))
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n%s\n", roff(summary))
	fmt.Fprint(w, ".SH SETTINGS\nFlags end at the first word that is none, or at \\-\\-.\n"+
		"A flag outranks its variable, that outranks \\-\\-env\\-file, that outranks the default.\n"+
		"Times are written as 10s, 1m30s or bare seconds.\n")
	group := ""
	for _, row := range table() {
		if row.group != group {
			group = row.group
			fmt.Fprintf(w, ".SS %s\n", roff(group))
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s.\n.br\n%s, default %s.\n",
			roff(strings.TrimSpace(row.usage())), roff(sentence(row.meaning())), roff(row.variable()), roff(row.standard()))
	}
	fmt.Fprint(w, ".SH SIGNALS\n")
	for _, s := range signalDocs() {
		fmt.Fprintf(w, ".TP\n%s\n%s.\n", roff(s.arrives), roff(sentence(s.does)))
	}
	fmt.Fprint(w, ".SH EXIT STATUS\n")
	for _, c := range exitCodes() {
		fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(c.code), roff(sentence(c.means)))
	}
	fmt.Fprint(w, ".SH EXAMPLES\n")
	for _, e := range examples() {
		fmt.Fprintf(w, ".TP\n.B %s\n%s.\n", roff(e.line), roff(sentence(e.does)))
	}
	fmt.Fprintf(w, ".SH SEE ALSO\n%s\n", roff(docsURL))
}

// WriteSettings writes the settings as a Markdown table, for
// docs/configuration.md.
func WriteSettings(w io.Writer) {
	fmt.Fprint(w, "| flag | variable | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, row := range table() {
		fmt.Fprintf(w, "| `%s` | `%s` | %s | %s |\n", escape(strings.TrimSpace(row.usage())), row.variable(), markdown(row), escape(row.meaning()))
	}
}

// markdown is the default of the row: as code if it can be typed like that.
func markdown(r setting) string {
	if r.fallback == "" {
		return escape(r.shown)
	}
	return "`" + r.fallback + "`"
}

func escape(text string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(text) }

// sentence begins text with a capital, unless it begins with brood's name.
func sentence(text string) string {
	if strings.HasPrefix(text, "brood") {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// roff escapes text for a man page. A dot or an apostrophe that begins a line
// would be a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
