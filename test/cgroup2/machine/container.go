package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	root     = "/sys/fs/cgroup"
	patience = 40 * time.Second // this machine is emulated
)

// layout is which hierarchies the machine has.
type layout struct {
	v2          string   // where cgroup v2 is mounted
	controllers []string // those of v2
	v1          []string // where hierarchies of v1 are mounted
}

var (
	unified = layout{v2: root, controllers: []string{"cpu", "memory", "pids", "cpuset"}}
	hybrid  = layout{v2: root + "/unified", controllers: []string{"memory", "pids"}, v1: []string{root + "/cpu"}}
)

// delegate gives the groups in a group of v2 the controllers, or takes them
// away.
func (l layout) delegate(group string, give bool) error {
	sign := map[bool]string{true: " +", false: " -"}[give]
	return write(group+"/cgroup.subtree_control", sign[1:]+strings.Join(l.controllers, sign))
}

// container is a control group in a group, as a container's is in its pod's,
// and what runs in it.
type container struct {
	layout   layout
	pod, own string
	outside  bool // it sees the groups of the whole machine
	cmd      *exec.Cmd
	ended    chan struct{}
	said     transcript
}

func newContainer(l layout) (*container, error) {
	c := &container{layout: l, pod: l.v2 + "/pod", own: l.v2 + "/pod/c"}
	if err := l.delegate(l.v2, true); err != nil {
		return nil, err
	}
	if err := os.Mkdir(c.pod, 0o755); err != nil {
		return nil, err
	}
	if err := l.delegate(c.pod, true); err != nil {
		return nil, err
	}
	for _, dir := range c.groups() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// groups are those that brood is in, that of v2 first.
func (c *container) groups() []string {
	dirs := []string{c.own}
	for _, hierarchy := range c.layout.v1 {
		dirs = append(dirs, hierarchy+"/pod/c")
	}
	return dirs
}

func write(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		return fmt.Errorf("cannot write %q: %w", content, err)
	}
	return nil
}

// set writes limits of the container's group: "cpu.max", "150000 100000", ...
func (c *container) set(s *scene, pairs ...string) { setIn(s, c.own, pairs...) }

// setPod writes those of the group around it.
func (c *container) setPod(s *scene, pairs ...string) { setIn(s, c.pod, pairs...) }

func setIn(s *scene, group string, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		if err := write(filepath.Join(group, pairs[i]), pairs[i+1]); err != nil {
			s.wrongf("%v", err)
		}
	}
}

func (c *container) read(file string) string {
	text, err := os.ReadFile(filepath.Join(c.own, file))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// start runs brood as PID 1 of new namespaces, in the group from its first
// moment on.
func (c *container) start(s *scene, words ...string) {
	group, err := os.Open(c.own)
	if err != nil {
		s.wrongf("%v", err)
		return
	}
	defer group.Close()
	mode := "inside"
	if c.outside {
		mode = "outside"
	}
	c.said = transcript{}
	enter := []string{"enter", mode, strings.Join(c.groups()[1:], ":"), "/brood"}
	c.cmd = exec.Command("/proc/self/exe", append(enter, words...)...)
	c.cmd.Stdout, c.cmd.Stderr = &c.said, &c.said
	flags := uintptr(unix.CLONE_NEWPID | unix.CLONE_NEWNS)
	if !c.outside {
		flags |= unix.CLONE_NEWCGROUP
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Cloneflags: flags}
	if err := c.cmd.Start(); err != nil {
		s.wrongf("cannot start brood: %v", err)
		c.cmd = nil
		return
	}
	c.ended = make(chan struct{})
	go func() {
		defer close(c.ended)
		_ = c.cmd.Wait()
	}()
}

// enter joins groups of v1, mounts what a container engine would, and becomes
// the program.
func enter(args []string) error {
	mode, groups, words := args[0], args[1], args[2:]
	for group := range strings.SplitSeq(groups, ":") {
		if group == "" {
			continue
		}
		if err := write(group+"/cgroup.procs", "0"); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return err
	}
	if mode == "inside" {
		// The root of this mount is the group that the namespace began in.
		if err := unix.Unmount(root, 0); err != nil {
			return err
		}
		if err := unix.Mount("cgroup2", root, "cgroup2", unix.MS_RDONLY, ""); err != nil {
			return err
		}
	}
	return unix.Exec(words[0], words, os.Environ())
}

// ends waits for the end of brood and checks its code.
func (c *container) ends(s *scene, want int) {
	if c.cmd == nil {
		return
	}
	select {
	case <-c.ended:
	case <-time.After(patience):
		s.wrongf("brood does not end")
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	status := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	if status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if code != want {
		s.wrongf("the code is %d, want %d", code, want)
	}
	if s.failed {
		fmt.Print(c.said.String())
	}
}

func (c *container) stop(s *scene) {
	if c.cmd != nil {
		_ = c.cmd.Process.Signal(unix.SIGTERM)
		c.ends(s, 0)
	}
}

// await waits for n lines with all the words.
func (c *container) await(s *scene, n int, words ...string) {
	if !within(func() bool { return c.said.count(words...) >= n }) {
		s.wrongf("there are %d lines with %q, want %d", c.said.count(words...), words, n)
	}
}

func within(is func() bool) bool {
	deadline := time.After(patience)
	for !is() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			return is()
		}
	}
	return true
}

// signalSlot1 signals the worker in slot 1.
func (c *container) signalSlot1(sig unix.Signal) error {
	for pid := range strings.FieldsSeq(c.read("cgroup.procs")) {
		environ, _ := os.ReadFile("/proc/" + pid + "/environ")
		if n, err := strconv.Atoi(pid); err == nil && bytes.Contains(environ, []byte("BROOD_SLOT=1\x00")) {
			return unix.Kill(n, sig)
		}
	}
	return errors.New("there is no worker in slot 1")
}

// page is that of brood's metrics.
func (c *container) page() (string, error) {
	client := http.Client{Timeout: patience}
	response, err := client.Get("http://127.0.0.1:9180/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

// remove removes the groups, whose processes have to be gone.
func (c *container) remove() error {
	var err error
	dirs := c.groups()
	for _, dir := range c.groups() {
		dirs = append(dirs, filepath.Dir(dir))
	}
	for _, dir := range dirs {
		within(func() bool { err = os.Remove(dir); return !errors.Is(err, unix.EBUSY) })
		if err != nil {
			return err
		}
	}
	return nil
}

// transcript is what a program says, while it says it.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

func (t *transcript) count(words ...string) (n int) {
	for line := range strings.Lines(t.String()) {
		if containsAll(line, words) {
			n++
		}
	}
	return n
}

func containsAll(line string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(line, word) {
			return false
		}
	}
	return true
}
