package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// peer is a program that starts others and keeps them, with its way to be told
// what to start, and to stop.
type peer struct {
	name    string
	program string         // its path; "" when it is not installed
	many    bool           // it runs N of a command
	keeps   bool           // it stays when its command ends
	stop    syscall.Signal // asks it to stop everything
	stopped int            // its exit code then
	files   string         // its PID files in its directory, %d for the number
	// words writes what the program reads into dir, and returns its arguments.
	words func(dir string, n int, command []string) ([]string, error)
}

// debian are the programs that brood is measured beside, and their packages.
var debian = []struct{ program, in string }{
	{"tini", "tini"},
	{"dumb-init", "dumb-init"},
	{"catatonit", "catatonit"},
	{"s6-svscan", "s6"},
	{"runsvdir", "runit"},
	{"supervisord", "supervisor"},
	{processExporter, processExporter},
}

// peers are brood, with flags of its own, and what Debian has for either of its
// uses: to run one command as PID 1, and to keep N of it.
func (l *lab) peers(flags ...string) []peer {
	all := []peer{
		l.broodPeer(flags...),
		{name: "tini", words: before("-s", "--")},
		{name: "dumb-init", words: before("--")},
		{name: "catatonit", words: before("--")},
		{name: "s6-svscan", many: true, keeps: true, words: directories("-c", "1000")},
		// TERM would end runsvdir alone.
		{name: "runsvdir", many: true, keeps: true, stop: syscall.SIGHUP, stopped: 111, words: directories()},
		{name: "supervisord", many: true, keeps: true, words: program},
	}
	for i := range all[1:] {
		all[i+1].program = l.programs[all[i+1].name]
	}
	for i := range all {
		if all[i].stop == 0 {
			all[i].stop = syscall.SIGTERM
		}
	}
	return all
}

func (l *lab) broodPeer(flags ...string) peer {
	return peer{
		name: "brood", program: l.brood, many: true, stop: syscall.SIGTERM, files: "brood.%d.pid",
		words: func(dir string, n int, command []string) ([]string, error) {
			own := append([]string{"-n", strconv.Itoa(n), "--pidfile", filepath.Join(dir, "brood.pid")}, flags...)
			return slices.Concat(own, []string{"--"}, command), nil
		},
	}
}

// floor is the least that C can do: init for one command, spawn for N.
func (l *lab) floor(program string) peer {
	return peer{
		name: "C", program: l.c(program), many: program == "spawn", stop: syscall.SIGTERM,
		words: func(_ string, n int, command []string) ([]string, error) {
			if program == "spawn" {
				command = append([]string{strconv.Itoa(n)}, command...)
			}
			return command, nil
		},
	}
}

// peer is the one of that name.
func (l *lab) peer(name string) peer {
	all := l.peers()
	return all[slices.IndexFunc(all, func(p peer) bool { return p.name == name })]
}

// before is for those that run what follows their own words.
func before(words ...string) func(string, int, []string) ([]string, error) {
	return func(_ string, _ int, command []string) ([]string, error) { return slices.Concat(words, command), nil }
}

// directories is the layout that s6 and runit have in common: for each service
// a directory with an executable file called run.
func directories(words ...string) func(string, int, []string) ([]string, error) {
	return func(dir string, n int, command []string) ([]string, error) {
		services := filepath.Join(dir, "services")
		for i := range n {
			service := filepath.Join(services, fmt.Sprintf("worker-%03d", i))
			if err := os.MkdirAll(service, 0o755); err != nil {
				return nil, err
			}
			if err := os.WriteFile(filepath.Join(service, "run"), []byte(script(command)), 0o755); err != nil {
				return nil, err
			}
		}
		return append(slices.Clone(words), services), nil
	}
}

// script needs no shell for a program with one argument, which the kernel starts
// as an interpreter: a shell for each worker would be most of what is measured.
func script(command []string) string {
	if len(command) == 2 {
		return "#!" + strings.Join(command, " ") + "\n"
	}
	return "#!/bin/sh\nexec " + strings.Join(command, " ") + "\n"
}

// program is supervisord's configuration. It holds three descriptors for each
// process, more than it asks for by itself, and would log each start.
func program(dir string, n int, command []string) ([]string, error) {
	file := filepath.Join(dir, "supervisord.conf")
	text := fmt.Sprintf(`[supervisord]
nodaemon=true
silent=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%s/supervisord.pid
childlogdir=%s
minfds=%d
[program:worker]
command=%s
numprocs=%d
process_name=worker-%%(process_num)d
stdout_logfile=NONE
stderr_logfile=NONE
`, dir, dir, 1024+4*n, strings.Join(command, " "), n)
	return []string{"-n", "-c", file}, os.WriteFile(file, []byte(text), 0o600)
}

// prepared is how a peer is started, once.
type prepared struct {
	peer
	dir  string // its own, on tmpfs
	argv []string
}

func (l *lab) prepare(p peer, n int, command ...string) (prepared, error) {
	dir, err := os.MkdirTemp(l.shm, p.name+"-")
	if err != nil {
		return prepared{}, fmt.Errorf("cannot make a directory: %w", err)
	}
	words, err := p.words(dir, n, command)
	return prepared{peer: p, dir: dir, argv: append([]string{p.program}, words...)}, err
}

// pidFiles is where the PID files are, or "-" if there are none.
func (p prepared) pidFiles() string {
	if p.files == "" {
		return "-"
	}
	return filepath.Join(p.dir, p.files)
}

// done removes the directory.
func (p prepared) done() error { return os.RemoveAll(p.dir) }

// byTurns lets each peer do something once, then again, so that what else the
// machine does hits all of them. One that fails is left out from then on.
func byTurns(runs int, among []peer, once func(peer) error) map[string]error {
	failed := make(map[string]error)
	for range runs {
		for _, p := range among {
			if failed[p.name] != nil {
				continue
			}
			if err := once(p); err != nil {
				failed[p.name] = fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return failed
}

func joined(failed map[string]error) error {
	return errors.Join(slices.Collect(maps.Values(failed))...)
}
