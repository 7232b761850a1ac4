package kubernetes_test

import (
	"maps"
	"strings"
	"testing"
)

func TestHowAContainerEndedIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	need(t)
	for _, c := range []struct {
		name, c, words string
		env            map[string]string
		what           string
		code           int
		reason         string
		message        string // a part of it
	}{
		{
			name: "end-failed", words: "/guest, exit, '3'", env: map[string]string{"BROOD_RESTART": "never"},
			what: "a worker ends with 3, `--restart never`", code: 3, reason: "Error", message: "exiting with code 3: failed",
		},
		{
			name: "end-signaled", words: "/guest, die, KILL", env: map[string]string{"BROOD_RESTART": "never"},
			what: "a worker dies by KILL, `--restart never`", code: 137, reason: "Error", message: "exiting with code 137: signaled",
		},
		{
			name: "end-completed", words: "/guest, exit, '0'",
			what: "all workers have completed", code: 0, reason: "Completed", message: "exiting with code 0: completed",
		},
		{
			name: "end-usage", words: "/guest, serve", env: map[string]string{"BROOD_STOP_TIMEOUT": "soon"},
			what: "a setting that brood does not take", code: 2, reason: "Error", message: "exiting with code 2: usage",
		},
		{
			name: "end-missing", words: "/no-such-service",
			what: "brood does not find the service", code: 127, reason: "Error", message: "exiting with code 127: start-failed",
		},
		{
			name: "end-no-brood", c: "command: [/no-such-brood]",
			what: "the runtime does not find the entrypoint", code: 128, reason: "StartError", message: "no-such-brood",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"BROOD_PROCESSES": "1"}
			maps.Copy(env, c.env)
			p := start(t, "default", spec{name: c.name, words: c.words, c: c.c, env: env, pod: "restartPolicy: Never", noProbe: true})
			ended := p.awaitEnd()
			end := ended.State.Terminated
			if end.ExitCode != c.code || end.Reason != c.reason || !strings.Contains(ended.message(), c.message) {
				t.Errorf("the container ended with %d %s %q, want %d %s %q", end.ExitCode, end.Reason, ended.message(), c.code, c.reason, c.message)
			}
			record(t, 61, c.what, "%d `%s`; %s", end.ExitCode, end.Reason, shown(ended.message()))
		})
	}
}

// shown is the first line of a message, for a table.
func shown(message string) string {
	const enough = 100
	line, _, _ := strings.Cut(message, "\n")
	switch {
	case line == "":
		return "no message"
	case len(line) > enough:
		line = line[:enough] + "..."
	}
	return "`" + line + "`"
}
