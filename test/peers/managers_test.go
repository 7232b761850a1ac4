package peers_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/brood-init/brood/test/internal/harness"
)

// manager is a program that keeps copies of a service up, as people put it in
// front of one in a container.
type manager struct {
	name    string
	program string // empty for brood
	copies  int
	// configure writes what the program reads into dir, and returns its words.
	configure func(t *testing.T, dir string, copies int, service string) []string
}

// managers are brood and those that Debian has.
func managers() []manager {
	one := func(before ...string) func(*testing.T, string, int, string) []string {
		return func(_ *testing.T, _ string, _ int, service string) []string {
			return append(slices.Clone(before), "sh", "-c", "exec "+service)
		}
	}
	return []manager{
		{"tini", "tini", 1, one("--")},
		{"dumb-init", "dumb-init", 1, one("--")},
		{"catatonit", "catatonit", 1, one("--")},
		{"supervisord", "supervisord", 3, supervisor},
		{"s6-svscan", "s6-svscan", 3, directories},
		{"runsvdir", "runsvdir", 3, directories},
		{"brood", "", 3, func(_ *testing.T, dir string, copies int, service string) []string {
			return []string{
				"-n", fmt.Sprint(copies), "--metrics-addr=none", "--log-level=error", "--pidfile", filepath.Join(dir, "web.pid"),
				"--restart-backoff=100ms..1s", "--max-restarts=3/1m", "--", "sh", "-c", "exec " + service,
			}
		}},
	}
}

func supervisor(t *testing.T, dir string, copies int, service string) []string {
	t.Helper()
	file := filepath.Join(dir, "supervisord.conf")
	put(t, file, 0o644, fmt.Sprintf(`[supervisord]
nodaemon=true
user=%s
logfile=/dev/null
logfile_maxbytes=0
pidfile=%s/supervisord.pid
childlogdir=%s
[program:web]
command=sh -c "exec %s"
numprocs=%d
process_name=web-%%(process_num)d
startretries=3
`, "root", dir, dir, service, copies))
	return []string{"-n", "-c", file}
}

// directories is the layout that s6 and runit have in common.
func directories(t *testing.T, dir string, copies int, service string) []string {
	t.Helper()
	services := filepath.Join(dir, "services")
	for i := range copies {
		put(t, filepath.Join(services, fmt.Sprint("web-", i), "run"), 0o755, "#!/bin/sh\nexec "+service+"\n")
	}
	return []string{services}
}

func put(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func (m manager) start(t *testing.T, dir, service string, env ...string) *harness.Brood {
	t.Helper()
	if os.Geteuid() != 0 {
		harness.Missing(t, "supervisord and the namespaces want root")
	}
	if m.program != "" {
		harness.Need(t, m.program)
	}
	mode := harness.Mode{PID1: true}
	mode.Need(t)
	o := harness.Options{
		Program: m.program, Args: m.configure(t, dir, m.copies, service), Env: env,
		Stdout: null(t), Stderr: null(t), LeavesProcesses: true, LeavesFiles: true,
	}
	if m.program == "" {
		o.PIDFile = filepath.Join(dir, "web.pid")
	}
	return mode.StartWith(t, o)
}

// parts are the processes of the service, and what else the manager needs.
func parts(b *harness.Brood) (service, rest []harness.Process) {
	init, _ := harness.Look(b.PID)
	rest = append(rest, init)
	for _, p := range harness.Descendants(b.PID) {
		if p.Comm == "web" {
			service = append(service, p)
		} else {
			rest = append(rest, p)
		}
	}
	return service, rest
}

// One real web service, with a port that its copies share, under each manager in
// turn: what becomes of a copy that is killed, of a request that is under way
// when the container is stopped, and of a service that cannot start.
func TestOneServiceUnderEachManager(t *testing.T) {
	web := filepath.Join(t.TempDir(), "web")
	if err := harness.Build(web, "github.com/brood-init/brood/examples/web"); err != nil {
		t.Fatal(err)
	}
	for _, m := range managers() {
		t.Run(m.name, func(t *testing.T) {
			port := strconv.Itoa(harness.Ports(t, 1))
			b := m.start(t, t.TempDir(), web, "PORT="+port)
			harness.Until(t, "all copies run", func() bool { service, _ := parts(b); return len(service) == m.copies })
			url := "http://127.0.0.1:" + port
			harness.Until(t, "it answers", func() bool { _, err := fetch(url + "/"); return err == nil })
			_, rest := parts(b)
			memory := 0
			for _, p := range rest {
				memory += resident(p)
			}
			managed.note(m, "processes beside the service, and their resident memory", fmt.Sprintf("%d, %.1f MB", len(rest), float64(memory)/1000))
			managed.note(m, "a copy that is killed", m.afterAKill(t, b))
			if b.HasEnded() {
				b = m.start(t, t.TempDir(), web, "PORT="+port)
			}
			harness.Until(t, "it answers", func() bool { _, err := fetch(url + "/"); return err == nil })
			managed.note(m, "TERM while a request is under way", m.stopUnderway(t, b, url))
			managed.note(m, "a service that always fails with 3", m.failing(t))
		})
	}
	t.Logf("\n%s", managed.markdown())
}

// afterAKill tells what becomes of the service when one copy is killed.
func (m manager) afterAKill(t *testing.T, b *harness.Brood) string {
	t.Helper()
	service, _ := parts(b)
	victim := service[0].PID
	killed := time.Now()
	_ = harness.Kill(victim, syscall.SIGKILL)
	back := harness.Within(5*time.Second, func() bool {
		now, _ := parts(b)
		return b.HasEnded() || len(now) == m.copies && !slices.ContainsFunc(now, func(p harness.Process) bool { return p.PID == victim })
	})
	switch {
	case b.HasEnded():
		code := fmt.Sprintf("the container ends with %d", b.Wait())
		if m.program == "" {
			t.Error(code)
		}
		return code
	case !back:
		return "stays dead"
	}
	return fmt.Sprintf("is back after %.1f s", time.Since(killed).Seconds())
}

// stopUnderway stops the manager as docker stop does, one second before a
// request would be answered.
func (m manager) stopUnderway(t *testing.T, b *harness.Brood, url string) string {
	t.Helper()
	answered := make(chan error, 1)
	go func() {
		_, err := fetch(url + "/slow?for=1500ms")
		answered <- err
	}()
	harness.Until(t, "the request is under way", func() bool { return connected(url) })
	<-time.After(500 * time.Millisecond) // until it is read: a server drops those that it has not begun to read
	began := time.Now()
	b.Signal(syscall.SIGTERM)
	ended := harness.Within(10*time.Second, b.HasEnded)
	took := time.Since(began)
	request := "answered"
	if err := <-answered; err != nil {
		request = "cut off"
	}
	if !ended {
		_ = harness.Kill(b.PID, syscall.SIGKILL)
		b.Wait()
		if m.program == "" {
			t.Error("brood has not ended in 10 s")
		}
		return request + ", still there after 10 s"
	}
	code := b.Wait()
	if m.program == "" && (code != 0 || request != "answered") {
		t.Errorf("brood ended with %d, the request was %s", code, request)
	}
	return fmt.Sprintf("%s, ends with %d after %.1f s", request, code, took.Seconds())
}

// longEnough is for who would end at all: nobody here needs more than a second. The
// table is made with the longer one.
func longEnough() time.Duration {
	if harness.Full() {
		return 10 * time.Second
	}
	return 4 * time.Second
}

// failing tells how a service that never gets up is made known.
func (m manager) failing(t *testing.T) string {
	t.Helper()
	b := m.start(t, t.TempDir(), "sh -c 'exit 3'")
	enough := longEnough()
	if m.program == "" {
		enough = harness.Fatal // nothing waits for it in vain
	}
	if !harness.Within(enough, b.HasEnded) {
		_ = harness.Kill(b.PID, syscall.SIGKILL)
		b.Wait()
		if m.program == "" {
			t.Errorf("brood has not given up in %s", enough)
		}
		return fmt.Sprintf("the container stays up (%s)", enough)
	}
	code := b.Wait()
	if m.program == "" && code != 3 {
		t.Errorf("brood gave up with %d", code)
	}
	return fmt.Sprintf("the container ends with %d", code)
}

// connected reports whether somebody has an open connection to the service.
func connected(url string) bool {
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	number := 0
	_, _ = fmt.Sscan(port, &number)
	// local address, state ESTABLISHED: proc_net_tcp in the kernel's documentation.
	for line := range strings.Lines(harness.Content("/proc/net/tcp") + harness.Content("/proc/net/tcp6")) {
		words := strings.Fields(line)
		if len(words) > 3 && strings.HasSuffix(words[1], fmt.Sprintf(":%04X", number)) && words[3] == "01" {
			return true
		}
	}
	return false
}

func fetch(url string) (string, error) {
	client := http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// resident is a process's memory in kB.
func resident(p harness.Process) int {
	kb := 0
	_, _ = fmt.Sscan(p.Status("VmRSS"), &kb)
	return kb
}

// managed collects the table: a column for each manager.
var managed managerTable

type managerTable struct{ rows, columns, cells []string }

func (tab *managerTable) note(m manager, row, cell string) {
	if !slices.Contains(tab.columns, m.name) {
		tab.columns = append(tab.columns, m.name)
	}
	if !slices.Contains(tab.rows, row) {
		tab.rows = append(tab.rows, row)
	}
	tab.cells = append(tab.cells, cell)
}

func (tab *managerTable) markdown() string {
	if len(tab.columns) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| one web service under | copies | " + strings.Join(tab.rows, " | ") + " |\n|" + strings.Repeat("---|", len(tab.rows)+2) + "\n")
	for i, column := range tab.columns {
		copies := 0
		for _, m := range managers() {
			if m.name == column {
				copies = m.copies
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %s |\n", column, copies, strings.Join(tab.cells[i*len(tab.rows):(i+1)*len(tab.rows)], " | "))
	}
	return b.String()
}
