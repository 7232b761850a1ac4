package proc

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Environ is the environment with which a process was started, unless it has
// written over it since.
type Environ []byte

// maxEnviron bounds what is read of an environment, in bytes.
const maxEnviron = 64 << 10

// Environ reads it. That needs the right to trace the process; a zombie has none
// any more.
func (fs FS) Environ(pid int) (Environ, error) {
	buf := make([]byte, maxEnviron)
	n, err := fs.read(pid, "environ", buf)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, unreadable(fs, pid, "environ", unix.ESRCH) // it is ending
	}
	return buf[:n], nil
}

// Get returns the value of a variable.
func (e Environ) Get(key string) (value string, ok bool) {
	for entry := range bytes.SplitSeq(e, []byte{0}) {
		if v, found := bytes.CutPrefix(entry, []byte(key+"=")); found {
			return string(v), true
		}
	}
	return "", false
}
