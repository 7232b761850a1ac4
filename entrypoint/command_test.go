package entrypoint

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// update rewrites the golden files.
var update = flag.Bool("update", false, "rewrite testdata")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs, run go test with -update (-want +got):\n%s", path, diff)
	}
}

type answer struct {
	handled  bool
	code     int
	out, err string
}

func ask(args ...string) answer {
	var out, err bytes.Buffer
	handled, code := Program{}.dispatch(args, nil, &out, &err)
	return answer{handled, code, out.String(), err.String()}
}

func TestDispatch(t *testing.T) {
	help := ask("--help")
	golden(t, "help.txt", help.out)
	golden(t, "help-check.txt", ask("help", "check").out)
	usage := ask()
	golden(t, "usage.txt", usage.err)
	if usage.out != "" || usage.code != CodeUsage {
		t.Errorf("no arguments: %+v", usage)
	}
	versionAnswer := answer{true, 0, "brood " + version + "\n", ""}
	for _, test := range []struct {
		args string
		want answer
	}{
		{"--help", answer{true, 0, help.out, ""}},
		{"-h", answer{true, 0, help.out, ""}},
		{"help", answer{true, 0, help.out, ""}},
		{"-n 3 --help", answer{true, 0, help.out, ""}},
		{"--fail-fast -hn3", answer{true, 0, help.out, ""}},
		{"--help ls", answer{true, 0, help.out, ""}},
		{"check --help", answer{true, 0, ask("help", "check").out, ""}},
		{"version", versionAnswer},
		{"--version", versionAnswer},
		{"-n1 --version -- ls", versionAnswer},
		{"check --version", versionAnswer},

		{"-- version", answer{}},
		{"-- --help", answer{}},
		{"ls --help", answer{}},
		{"ls -h", answer{}},
		{"-n1 ls", answer{}},
		{"--prepare --help ls", answer{}}, // the hook is called --help
		{"--nonsense --help", answer{}},   // Load says so

		{"status --control /nowhere/x.sock", answer{true, 1, "", "brood: cannot reach the brood at \"/nowhere/x.sock\": dial unix /nowhere/x.sock: connect: no such file or directory\n"}},
		{"health --control=/nowhere/x.sock", answer{true, 1, "", "brood: cannot reach the brood at \"/nowhere/x.sock\": dial unix /nowhere/x.sock: connect: no such file or directory\n"}},
		{"status -o yaml", answer{true, 2, "", "brood: cannot use --output \"yaml\": want text, wide or json\n"}},
		{"status x", answer{true, 2, "", "brood: cannot use status \"x\": want the numbers of slots, or none for all; a command called status needs -- before it\n"}},
		{"status --control none", answer{true, 2, "", "brood: cannot use --control \"none\": name the socket of the brood to ask\n"}},
		{"scale many", answer{true, 2, "", "brood: cannot use scale \"many\": want a number, +1, -1 or auto\n"}},
		{"scale", answer{true, 2, "", "brood: cannot use scale: want one number, +1, -1 or auto\n"}},
		{"scale --control /nowhere/x.sock -1", answer{true, 1, "", "brood: cannot reach the brood at \"/nowhere/x.sock\": dial unix /nowhere/x.sock: connect: no such file or directory\n"}},
		{"scale -1 --control /nowhere/x.sock", answer{true, 1, "", "brood: cannot reach the brood at \"/nowhere/x.sock\": dial unix /nowhere/x.sock: connect: no such file or directory\n"}},
		{"help me", answer{true, 2, "", "brood: cannot use help \"me\": there is no such verb, want status, scale, reload, stop, events, health, check, version, completion or help\n"}},
		{"version now", answer{true, 2, "", "brood: cannot use version \"now\": it takes no more words; a command called version needs -- before it\n"}},
		{"version -o xml", answer{true, 2, "", "brood: cannot use --output \"xml\": want text or json\n"}},
		{"version --outptu json", answer{true, 2, "", "brood: cannot use --outptu: there is no such flag (--help lists all)\n"}},
		{"completion", answer{true, 2, "", "brood: cannot use completion: want bash, zsh or fish\n"}},
		{"completion tcsh", answer{true, 2, "", "brood: cannot use completion \"tcsh\": want bash, zsh or fish\n"}},
		{"check --proceses 3", answer{true, 2, "", "brood: cannot use --proceses: there is no such flag, did you mean --processes? (--help lists all)\n"}},
		{"check -n x -- ls", answer{true, 2, "", "brood: cannot use --processes \"x\": want a number from 0 to 100000, or auto\n"}},
		{"check -n 1 reload", answer{true, 2, "", "brood: cannot use reload: it is a verb, which comes first: brood reload; a command of that name needs -- before it\n"}},
	} {
		if got := ask(strings.Fields(test.args)...); got != test.want {
			t.Errorf("brood %s:\n got %+v\nwant %+v", test.args, got, test.want)
		}
	}
}

func TestHelpNamesEverything(t *testing.T) {
	help := ask("--help").out
	for _, row := range table() {
		if !strings.Contains(help, row.usage()+" ") || !strings.Contains(help, " "+row.variable()+" (default "+row.standard()+")\n") {
			t.Errorf("help lacks --%s or its variable", row.name)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > 101 {
			t.Errorf("long line: %s", line)
		}
	}
	for _, e := range examples() {
		if !strings.Contains(e.line, " -- ") {
			t.Errorf("%s: no -- in the example", e.line)
		}
	}
}

func TestVersionAsJSON(t *testing.T) {
	var got build
	if err := json.Unmarshal([]byte(ask("version", "-o", "json").out), &got); err != nil || got.Version != version || got.Go == "" || got.OS != "linux" || got.Arch == "" {
		t.Errorf("%+v, %v", got, err)
	}
	got = describeBuild(&debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}})
	if got.Commit != "abc" || got.Date != "2026-01-02T03:04:05Z" || !got.Dirty {
		t.Errorf("%+v", got)
	}
	if describeBuild(nil).Version != version {
		t.Error("no version without build info")
	}
}

// completions are what a shell offers after these words, without descriptions.
func completions(words ...string) []string {
	out := ask(append([]string{"__completeNoDesc"}, words...)...).out
	return strings.Fields(out)
}

func TestCompletion(t *testing.T) {
	for _, before := range [][]string{nil, {"check"}} {
		offered := strings.Join(completions(append(before, "--")...), " ") + " "
		for _, row := range table() {
			if !strings.Contains(offered, "--"+row.name+" ") {
				t.Errorf("--%s is not offered after %q: %s", row.name, before, offered)
			}
			if len(row.choices) == 0 {
				continue
			}
			want := strings.Join(row.choices, " ") + " :4"
			if got := strings.Join(completions(append(before, "--"+row.name, "")...), " "); got != want {
				t.Errorf("--%s offers %s, want %s", row.name, got, want)
			}
			if got := strings.Join(completions(append(before, "--"+row.name+"=")...), " "); got != want {
				t.Errorf("--%s= offers %s, want %s", row.name, got, want)
			}
		}
	}
	for words, want := range map[string]string{
		"":                        "check completion events health help reload scale status stop version :0",
		"completion|":             "bash zsh fish :4",
		"help|c":                  "check completion :4",
		"--signal|HUP=stop|--sig": "--signal :4",
		"--env-file|":             ":0",
		"--processes|":            "auto :4",
		"--|check|--":             ":0",
		"ls|--":                   ":0",
	} {
		if got := strings.Join(completions(strings.Split(words, "|")...), " "); got != want {
			t.Errorf("after %s: %s, want %s", words, got, want)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, mark := range map[string]string{"bash": "complete -o default", "zsh": "#compdef brood", "fish": "complete -c brood"} {
		got := ask("completion", shell)
		if got.code != 0 || got.err != "" || !strings.Contains(got.out, mark) || !strings.Contains(got.out, "__complete") {
			t.Errorf("%s: code %d, %s", shell, got.code, got.err)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not here to read its script", shell)
			continue
		}
		script := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(script, []byte(got.out), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(path, "-n", script).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
}

// BenchmarkDispatch is what a command line that runs workers costs.
func BenchmarkDispatch(b *testing.B) {
	args := []string{"-n1", "--", "/bin/true"}
	for b.Loop() {
		if handled, _ := (Program{}).dispatch(args, nil, nil, nil); handled {
			b.Fatal("handled")
		}
	}
}
