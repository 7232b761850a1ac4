package entrypoint

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kballard/go-shellquote"
)

// given loads a configuration with these variables, KEY=VALUE, in the
// environment. envconfig looks into the process, so tests cannot be parallel.
func given(t *testing.T, environ []string, args ...string) (*Config, error) {
	t.Helper()
	for _, entry := range environ {
		key, value, _ := strings.Cut(entry, "=")
		t.Setenv(key, value)
	}
	return Load(args, environ)
}

func mustLoad(t *testing.T, environ []string, args ...string) *Config {
	t.Helper()
	c, err := given(t, environ, args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// write makes an env file of lines.
func write(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "brood.env")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// variableText is a value as a variable takes it: lists are split like a shell
// does.
func variableText(row bound, text string) string {
	if row.field.is(kindList) {
		return shellquote.Join(text)
	}
	return text
}

// dotenv is a line of an env file with a value that is taken literally.
func dotenv(variable, text string) string {
	if strings.Contains(text, "'") {
		return variable + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(text) + `"`
	}
	return variable + "='" + text + "'"
}

func TestPrecedence(t *testing.T) {
	all := samples()
	for _, row := range bind(new(settings)) {
		if row.name == "env-file" {
			continue // it cannot be in a file: TestEnvFileNamedByVariable
		}
		t.Run(row.name, func(t *testing.T) {
			s := all[row.name]
			file := write(t, dotenv(row.variable(), variableText(row, s.file)))
			variable := row.variable() + "=" + variableText(row, s.environment)
			blank := row.variable() + "= "
			flag := "--" + row.name + "=" + s.flag
			for _, test := range []struct {
				environ []string
				args    []string
				want    string
				source  Source
			}{
				{nil, nil, row.field.String(), SourceDefault},
				{[]string{blank}, nil, row.field.String(), SourceDefault},
				{nil, []string{"--env-file", file}, s.file, SourceFile},
				{[]string{blank}, []string{"--env-file", file}, s.file, SourceFile},
				{[]string{variable}, nil, s.environment, SourceEnvironment},
				{[]string{variable}, []string{"--env-file", file}, s.environment, SourceEnvironment},
				{nil, []string{flag}, s.flag, SourceFlag},
				{[]string{variable}, []string{flag}, s.flag, SourceFlag},
				{[]string{variable}, []string{flag, "--env-file", file}, s.flag, SourceFlag},
				{nil, []string{"--env-file", file, flag}, s.flag, SourceFlag},
			} {
				t.Run(test.source.String(), func(t *testing.T) {
					c := mustLoad(t, test.environ, append(test.args, "--", "service")...)
					for _, got := range c.rows {
						want, source := got.standardText(), SourceDefault
						switch got.name {
						case row.name:
							want, source = variableText(row, test.want), test.source
							if source == SourceDefault {
								want = test.want
							}
						case "env-file":
							continue
						}
						if got.field.String() != want || got.field.source() != source {
							t.Errorf("%v %v: %s = %q from %s, want %q from %s",
								test.environ, test.args, got.name, got.field, got.field.source(), want, source)
						}
					}
				})
			}
		})
	}
}

func (b bound) standardText() string { return b.fallback }

func TestOutrankedValueIsNotParsed(t *testing.T) {
	c := mustLoad(t, []string{"BROOD_PROCESSES=nonsense"}, "-n", "2", "--env-file", write(t, "BROOD_PROCESSES=worse"), "--", "service")
	if c.Processes.Value.Count != 2 {
		t.Errorf("processes = %+v", c.Processes.Value)
	}
}

// refused checks that err is one line which names what it has to.
func refused(t *testing.T, err error, setting, value string) {
	t.Helper()
	var usage *UsageError
	if !errors.As(err, &usage) {
		t.Errorf("%s %q: got %v, want a UsageError", setting, value, err)
		return
	}
	text := usage.Error()
	switch {
	case strings.ContainsAny(text, "\n\r"):
		t.Errorf("%q is not one line", text)
	case usage.Setting != setting || !strings.Contains(text, setting):
		t.Errorf("%q blames %q, want %q", text, usage.Setting, setting)
	case usage.Value != value || value != "" && !strings.Contains(text, quote(value)):
		t.Errorf("%q shows %q, want %q", text, usage.Value, value)
	case usage.Remedy == "" || !strings.Contains(text, usage.Remedy):
		t.Errorf("%q has no remedy", text)
	}
}

func TestBadValues(t *testing.T) {
	all := samples()
	for _, row := range bind(new(settings)) {
		t.Run(row.name, func(t *testing.T) {
			for _, bad := range all[row.name].bad {
				shown := row.public(bad)
				_, err := Load([]string{"--" + row.name + "=" + bad, "--", "service"}, nil)
				refused(t, err, "--"+row.name, shown)
				t.Run("environment", func(t *testing.T) {
					_, err := given(t, []string{row.variable() + "=" + variableText(row, bad)}, "--", "service")
					refused(t, err, row.variable(), shown)
				})
				if row.name != "env-file" {
					file := write(t, dotenv(row.variable(), variableText(row, bad)))
					_, err = Load([]string{"--env-file", file, "--", "service"}, nil)
					refused(t, err, row.variable()+" in "+file, shown)
				}
			}
			if row.value == "" {
				return
			}
			_, err := Load([]string{"--" + row.name}, nil)
			refused(t, err, "--"+row.name, "")
			_, err = Load([]string{"--" + row.name, "--", "service"}, nil)
			refused(t, err, "--"+row.name, row.public("--"))
		})
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, `cannot use a command line without a command: want brood [flags] -- command [args...]`},
		{[]string{"--"}, `cannot use a command line without a command: want brood [flags] -- command [args...]`},
		{[]string{"-n", "2"}, `cannot use a command line without a command: want brood [flags] -- command [args...]`},
		{[]string{"--proceses=2"}, `cannot use --proceses: there is no such flag, did you mean --processes? (--help lists all)`},
		{[]string{"--stop-timout", "2"}, `cannot use --stop-timout: there is no such flag, did you mean --stop-timeout? (--help lists all)`},
		{[]string{"--configuration", "x"}, `cannot use --configuration: there is no such flag (--help lists all)`},
		{[]string{"-x"}, `cannot use -x: there is no such flag (--help lists all)`},
		{[]string{"-processes=3"}, `cannot use -processes=3: there is no such flag, did you mean --processes? (--help lists all)`},
		{[]string{"---n"}, `cannot use ---n: there is no such flag (--help lists all)`},
		{[]string{"--help=maybe"}, `cannot use --help "maybe": it takes no value`},
		{[]string{"-n", "3", "reload"}, `cannot use reload: it is a verb, which comes first: brood reload; a command of that name needs -- before it`},
		{[]string{"-n", "3", "check"}, `cannot use check: it is a verb, which comes first: brood check; a command of that name needs -- before it`},
		{[]string{"--min-processes=3", "--max-processes=2", "x"}, `cannot use --min-processes "3": it is above --max-processes 2, change one of them`},
		{[]string{"--exit-code", "1=0", "--exit-code", "1=2", "x"}, `cannot use --exit-code "1=2": 1=0 is there already, give each exit code one replacement`},
		{[]string{"--env", "SECRET=hunter2{", "x"}, `cannot use --env "SECRET": its value has braces that are none of {slot}, {index}, {count} and {8080+index}: double them, {{ is a brace`},
		{[]string{"--processes=", "x"}, `cannot use --processes: it is empty, want a number from 0 to 100000, or auto`},
		{[]string{"--pidfile=", "x"}, `cannot use --pidfile: it is empty, want DIR/NAME.pid, or leave the setting out`},
		{[]string{"--processes=1\n2", "x"}, `cannot use --processes "1\n2": want a number from 0 to 100000, or auto`},
		{[]string{"--restart=" + strings.Repeat("x", 200), "x"}, `cannot use --restart "` + strings.Repeat("x", 80) + `"...: want on-failure, always or never`},
		{[]string{"--signal=HUP=stop", "--signal=1=ignore", "x"}, `cannot use --signal "1=ignore": SIGHUP=stop is there already, give each signal one action`},
		{[]string{"--max-unavailable=0", "x"}, `cannot use --max-unavailable "0": without --max-surge no worker could ever be replaced: allow 1 of either`},
		{[]string{"-n3", "--follow-limits=on", "x"}, `cannot use --follow-limits "on": --processes 3 is a fixed number: leave out one of them, or use --processes auto`},
		{[]string{"--max-surge=1", "--env=PORT={8080+index}", "x"}, `cannot use --max-surge "1": two processes of a slot would meet on the port that {index} or {slot} gives it: share sockets by --listen instead, or leave it at 0`},
		{[]string{"--expand-args", "x", "secret{nonsense}"}, `cannot use argument 1 of the command: cannot expand "{nonsense}": braces hold {slot}, {index}, {count} or a sum such as {8080+index}, and {{ is a brace itself; or leave out --expand-args`},
	} {
		_, err := Load(test.args, nil)
		var usage *UsageError
		if !errors.As(err, &usage) || err.Error() != test.want {
			t.Errorf("%q:\n got %v\nwant %s", test.args, err, test.want)
		}
	}
}

func TestSettingsAreBlamedAsGiven(t *testing.T) {
	file := write(t, "BROOD_MIN_PROCESSES=5", "BROOD_PIDFILE=/run/x/y.pid", "BROOD_LOG_FORMAT=json", "BROOD_LOG_LEVEL=warn")
	_, err := given(t, []string{"BROOD_MAX_PROCESSES=4"}, "--env-file", file, "--", "service")
	refused(t, err, "BROOD_MIN_PROCESSES in "+file, "5")
	if err == nil || !strings.Contains(err.Error(), "above BROOD_MAX_PROCESSES 4") {
		t.Error(err)
	}
	t.Setenv("BROOD_MAX_PROCESSES", "")
	c := mustLoad(t, nil, "--env-file", file, "--", "service")
	refused(t, c.pidFileError(errors.New("a live master has it")), "BROOD_PIDFILE in "+file, "/run/x/y.pid")
	if !c.logJSON() || c.logLevel() != slog.LevelWarn {
		t.Errorf("log: %v %v", c.LogFormat, c.LogLevel)
	}
	long := quote(strings.Repeat("x", 79) + "ä" + "y")
	if long != `"`+strings.Repeat("x", 79)+`"...` {
		t.Errorf("a letter is cut in two: %s", long)
	}
}

func TestVariablesHideSecrets(t *testing.T) {
	for _, text := range []string{
		"'KEY=hunter2", "A=1 KEY=hunter2{", "KEY='a b' hunter2", `KEY=a hunter2\`,
	} {
		_, err := given(t, []string{"BROOD_ENV=" + text}, "--", "service")
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "BROOD_ENV") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, lines := range [][]string{
		{"A=1", "", "hunter2 is the word!", "B=2"},
		{"A='hunter2"},
		{"A=1", "hunter2"},
		{"A B=hunter2"},
	} {
		_, err := Load([]string{"--env-file", write(t, lines...), "--", "service"}, nil)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "--env-file") {
			t.Errorf("%q: %v", lines, err)
		}
	}
}

func TestFlagsEndAtTheCommand(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-n1 ls -l --processes=7", "ls -l --processes=7"},
		{"-n 1 -- ls -- -n 2", "ls -- -n 2"},
		{"-- -n 2", "-n 2"},
		{"-- status", "status"},
		{"-n=1 -- check", "check"},
		{"--processes=1 - x", "- x"},
		{"-n -1 ls check", "ls check"},
		{"--fail-fast ls", "ls"},
		{"--group=off ls --help", "ls --help"},
	} {
		c := mustLoad(t, nil, strings.Fields(test.args)...)
		if got := strings.Join(c.Command, " "); got != test.want {
			t.Errorf("%q runs %q, want %q", test.args, got, test.want)
		}
	}
}

func TestRepeatedFlagsAdd(t *testing.T) {
	environ := []string{`BROOD_SIGNAL=USR1=ignore`, `BROOD_EXIT_CODE="143=0" 1=2`, `BROOD_ENV=A=1 B='x y' A=2`}
	c := mustLoad(t, environ, "--signal", "HUP=ignore", "--signal", "USR2=INT", "-n1", "-n2", "--", "service")
	if len(c.Signal.Value) != 2 || c.Signal.String() != "HUP=ignore USR2=INT" {
		t.Errorf("signal = %v, %q: flags replace the variable as a whole", c.Signal.Value, c.Signal.String())
	}
	if !slices.Equal(c.ExitCode.Value, []ExitCodeRule{{143, 0}, {1, 2}}) {
		t.Errorf("exit-code = %v", c.ExitCode.Value)
	}
	if v := c.Env.Value; len(v) != 2 || v[0].Key != "B" || v[1].Key != "A" {
		t.Errorf("env = %v: the last of a key counts", v)
	}
	if c.Processes.Value.Count != 2 {
		t.Errorf("processes = %v: the last flag counts", c.Processes.Value)
	}
}

func TestLoadAsksForDispatch(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"--help"}, {"--version"}, {"-n3", "--help", "--", "ls"}} {
		if _, err := Load(args, nil); !errors.Is(err, ErrHelp) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	environ := os.Environ()
	for b.Loop() {
		if _, err := Load([]string{"-n1", "--", "/bin/true"}, environ); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoadWithVariables(b *testing.B) {
	b.Setenv("BROOD_PROCESSES", "3")
	b.Setenv("BROOD_FINISH", "echo done")
	environ := os.Environ()
	for b.Loop() {
		if _, err := Load([]string{"--", "/bin/true"}, environ); err != nil {
			b.Fatal(err)
		}
	}
}
