// Machine is the first process of the machine that the tests of cgroup v2 boot.
// It runs scenarios and says on the serial line that it is there, and of each:
//
//	@ up
//	@ wrong what is not as wanted
//	@ failed name of the scenario
//	@ ok name of another one
//
// Called as "enter" it is what stands between the fork and the exec of brood in
// a container of its making.
package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "enter" {
		fmt.Println("cannot enter:", enter(os.Args[2:]))
		os.Exit(99)
	}
	fmt.Println("@ up")
	for _, part := range []struct {
		name   string
		setUp  func() error
		layout layout
		all    []scenario
	}{
		{"set-up", setUp, unified, scenarios},
		{"becoming a hybrid machine", becomeHybrid, hybrid, mixed},
	} {
		if err := part.setUp(); err != nil {
			fmt.Printf("@ wrong %v\n@ failed %s\n", err, part.name)
			break
		}
		for _, s := range part.all {
			perform(s, part.layout)
		}
	}
	fmt.Println("@ all done")
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	<-time.After(time.Minute)
}

// setUp makes the file systems that programs expect, and the loopback.
func setUp() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}, {"cgroup2", root},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.at, err)
		}
	}
	if err := os.Setenv("PATH", "/"); err != nil {
		return err
	}
	return raiseLoopback()
}

// becomeHybrid gives the CPU's controller to v1, and leaves v2 the others.
func becomeHybrid() error {
	if err := unified.delegate(root, false); err != nil {
		return err
	}
	if err := unix.Unmount(root, 0); err != nil {
		return fmt.Errorf("cannot unmount %s: %w", root, err)
	}
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, ""); err != nil {
		return err
	}
	for _, m := range []struct{ kind, at, options string }{
		{"cgroup", hybrid.v1[0], "cpu"}, {"cgroup2", hybrid.v2, ""},
	} {
		if err := os.Mkdir(m.at, 0o755); err != nil {
			return err
		}
		var err error
		// The old hierarchy lets go of the controller a little later.
		within(func() bool {
			err = unix.Mount(m.kind, m.at, m.kind, 0, m.options)
			return err == nil
		})
		if err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.at, err)
		}
	}
	return nil
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}

// scene is one scenario under way.
type scene struct{ failed bool }

func (s *scene) wrongf(format string, args ...any) {
	s.failed = true
	fmt.Printf("@ wrong "+format+"\n", args...)
}

func perform(one scenario, l layout) {
	began := time.Now()
	s := &scene{}
	c, err := newContainer(l)
	if err != nil {
		s.wrongf("%v", err)
	} else {
		one.run(s, c)
		if err := c.remove(); err != nil {
			s.wrongf("%v", err)
		}
	}
	verdict := "ok"
	if s.failed {
		verdict = "failed"
	}
	fmt.Printf("took %v\n@ %s %s\n", time.Since(began).Round(time.Millisecond), verdict, one.name)
}
