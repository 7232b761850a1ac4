package entrypoint

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/brood-init/brood/fanout"
)

// FuzzSettings gives any text to any setting: it is accepted or refused in one
// line, and what was accepted stands for itself.
func FuzzSettings(f *testing.F) {
	rows := table()
	all := samples()
	for i, row := range rows {
		s := all[row.name]
		for _, text := range append(s.bad, s.file, s.environment, s.flag, row.fallback) {
			f.Add(i, text)
		}
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		all := bind(new(settings))
		row := all[uint(i)%uint(len(all))]
		err := row.field.read(text, SourceEnvironment)
		if bad, ok := errors.AsType[*badValue](err); ok {
			line := row.refuse("--"+row.name, bad).Error()
			if strings.ContainsAny(line, "\n\r") || !strings.HasPrefix(line, "cannot use --"+row.name) || len(line) > 1000 {
				t.Errorf("%q", line)
			}
			_, value, _ := strings.Cut(text, "=")
			if row.secret && len(value) > 8 && !strings.Contains("want KEY=VALUE and so on", value) && strings.Contains(line, value) {
				t.Errorf("%q tells the secret of %q", line, text)
			}
			return
		}
		if err != nil {
			t.Fatalf("%s %q: %v", row.name, text, err)
		}
		shown := row.field.String()
		again := rowNamedBound(bind(new(settings)), row.name)
		if err := again.field.read(shown, SourceEnvironment); err != nil || again.field.String() != shown {
			t.Errorf("%s %q: %q does not stand for itself: %v", row.name, text, shown, err)
		}
	})
}

func rowNamedBound(rows []bound, name string) bound {
	for _, row := range rows {
		if row.name == name {
			return row
		}
	}
	panic(name)
}

func FuzzDurations(f *testing.F) {
	for _, text := range []string{"10", "0.5", "1m30s", "-1", "1e3", "9223372036", "8760h", ".", "1..2", "none"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := parseLimit(text); err == nil && (d < 0 || d > longest) {
			t.Errorf("%q = %s", text, d)
		}
		if b, err := parseBackoff(text); err == nil && (b.Min < 0 || b.Min > b.Max || b.Max > longest) {
			t.Errorf("%q = %s", text, b)
		}
		if c, err := parseCrashBudget(text); err == nil && (c.Failures < 0 || c.Window <= 0) {
			t.Errorf("%q = %s", text, c)
		}
	})
}

func FuzzNumbers(f *testing.F) {
	for _, text := range []string{"10", "-1", "auto", "1.5GiB", "2m", "none", "9223372036854775808", "143=0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parseProcesses(text); err == nil && (p.Count < 0 || p.Count > maxProcesses || p.Auto && p.Count != 0) {
			t.Errorf("%q = %+v", text, p)
		}
		if size, err := parseMemory(text); err == nil && size > 1<<62 {
			t.Errorf("%q = %d", text, size)
		}
		if rules, err := addExitCode(nil, text); err == nil && (rules[0].From > 255 || rules[0].From < 0 || rules[0].To > 255 || rules[0].To < 0) {
			t.Errorf("%q = %v", text, rules)
		}
	})
}

func FuzzSignals(f *testing.F) {
	for _, text := range samples()["signal"].bad {
		f.Add(text)
	}
	f.Add("USR1=INT")
	f.Add("RTMIN+1=RTMAX-1")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := addSignal(nil, text)
		if err != nil {
			return
		}
		rule := rules[0]
		if defaultAction(rule.From) == (fanout.Action{}) || (rule.Action.Signal != 0) != (rule.Action.Kind == fanout.ActionForward) {
			t.Errorf("%q = %v", text, rule)
		}
		if rule.Action.Signal == 9 || rule.Action.Signal == 19 {
			t.Errorf("%q sends what cannot be handled", text)
		}
		if again, err := addSignal(nil, rule.String()); err != nil || again[0] != rule {
			t.Errorf("%q: %q does not stand for itself: %v", text, rule, err)
		}
	})
}

func FuzzEnvFile(f *testing.F) {
	for _, content := range []string{
		"A=1\nBROOD_PROCESSES=2\n", "A='x\ny'\n", "export A=$B", "A", "=", "A=\"", "\xef\xbb\xbfA=1", "#x\n\nA: b", "A B=1", "A=\x00",
	} {
		f.Add([]byte(content))
	}
	rows := bind(new(settings))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := parseEnvFile(content, rows)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Errorf("%q", err)
			}
			return
		}
		for _, entry := range file.worker {
			name, _, ok := strings.Cut(entry, "=")
			if !ok || name == "" || strings.ContainsAny(name, " \n\x00") || strings.Contains(entry, "\x00") || strings.HasPrefix(name, "BROOD_") {
				t.Errorf("%q gives workers %q", content, entry)
			}
		}
	})
}

func FuzzCommandLine(f *testing.F) {
	for _, line := range []string{"-n1\x00--\x00ls", "--env\x00A=b\x00ls\x00-l", "-hn3", "--help", "---", "-", "--=", "-test.v\x00ls", "--no\x00--"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		var out bytes.Buffer
		switch args[0] {
		case "check", "__complete", "__completeNoDesc":
			return // they look at the system
		}
		handled, code := Program{}.dispatch(args, nil, &out, &out)
		if handled && code != 0 && code != CodeUsage {
			t.Errorf("%q: code %d", args, code)
		}
		if handled || strings.Contains(line, "--env-file") {
			return
		}
		c, err := Load(args, nil)
		var usage *UsageError
		if err != nil {
			if !errors.As(err, &usage) || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q: %v", args, err)
			}
			return
		}
		if len(c.Command) == 0 || len(c.Command) > len(args) || c.Command[len(c.Command)-1] != args[len(args)-1] {
			t.Errorf("%q runs %q", args, c.Command)
		}
		if _, err := c.Plan(1); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	})
}
