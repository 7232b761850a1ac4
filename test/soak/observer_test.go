package soak_test

import (
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/brood-init/brood/test/internal/harness"
)

// end is the end of a process as the kernel tells of it.
type end struct {
	pid, parent int
	status      syscall.WaitStatus
	was         string // the file that it had executed last, as far as it could be seen
}

// code is as a shell has it.
func (e end) code() int {
	if e.status.Signaled() {
		return 128 + int(e.status.Signal())
	}
	return e.status.ExitStatus()
}

// observer hears of the ends of all processes on this machine.
type observer struct {
	file *os.File
	runs map[int]string // what processes have executed; of the reading goroutine

	mu   sync.Mutex
	ends []end
	lost int // times that the kernel had more to say than there was room for
	over chan struct{}
}

// The layout of linux/connector.h and linux/cn_proc.h.
const (
	connectorProc = 1 // CN_IDX_PROC and CN_VAL_PROC
	listen        = 1 // PROC_CN_MCAST_LISTEN
	whatFork      = 0x00000001
	whatExec      = 0x00000002
	whatExit      = 0x80000000
	headers       = unix.NLMSG_HDRLEN + 20 // of netlink and the connector
	eventData     = headers + 16           // after what, cpu and time
)

func observe(t *testing.T) *observer {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		harness.Missing(t, "there is no process connector: %v", err)
	}
	file := os.NewFile(uintptr(fd), "connector")
	subscribe := func() error {
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProc}); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
			return err
		}
		message := make([]byte, headers+4)
		native := binary.NativeEndian
		native.PutUint32(message, uint32(len(message)))
		native.PutUint16(message[4:], unix.NLMSG_DONE)
		native.PutUint32(message[16:], connectorProc)
		native.PutUint32(message[20:], connectorProc)
		native.PutUint16(message[32:], 4)
		native.PutUint32(message[headers:], listen)
		return unix.Sendto(fd, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	if err := subscribe(); err != nil {
		_ = file.Close()
		harness.Missing(t, "the process connector cannot be used: %v", err)
	}
	o := &observer{file: file, runs: map[int]string{}, over: make(chan struct{})}
	go o.read()
	t.Cleanup(func() {
		_ = file.Close()
		<-o.over
	})
	// In a namespace of its own for users or PIDs nobody is told anything.
	probe := exec.Command("true")
	if err := probe.Run(); err != nil {
		t.Fatal(err)
	}
	if !harness.Within(10*time.Second, func() bool { return o.hasHeardOf(probe.Process.Pid) }) {
		harness.Missing(t, "the process connector is silent")
	}
	return o
}

func (o *observer) read() {
	defer close(o.over)
	buf := make([]byte, 1<<16)
	for {
		n, err := o.file.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			o.mu.Lock()
			o.lost++
			o.mu.Unlock()
		case err != nil:
			return
		case n >= eventData+24: // the kernel sends all of the union
			o.hear(binary.NativeEndian.Uint32(buf[headers:]), buf[eventData:n])
		}
	}
}

// hear takes what happens to processes, that is to their first threads.
func (o *observer) hear(what uint32, data []byte) {
	field := func(i int) int { return int(binary.NativeEndian.Uint32(data[4*i:])) }
	switch {
	case what == whatFork && field(2) == field(3):
		o.runs[field(3)] = "a fork of " + o.runs[field(1)]
	case what == whatExec:
		o.runs[field(1)], _ = os.Readlink("/proc/" + strconv.Itoa(field(1)) + "/exe")
	case what == whatExit && field(0) == field(1):
		e := end{pid: field(1), status: syscall.WaitStatus(field(2)), parent: field(5), was: o.runs[field(1)]}
		delete(o.runs, e.pid)
		o.mu.Lock()
		o.ends = append(o.ends, e)
		o.mu.Unlock()
	}
}

func (o *observer) hasHeardOf(pid int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.ends, func(e end) bool { return e.pid == pid })
}

// of are the ends of those whose parent was pid at last.
func (o *observer) of(pid int) (ends []end) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.ends {
		if e.parent == pid {
			ends = append(ends, e)
		}
	}
	return ends
}
