package notify

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// received is one datagram.
type received struct {
	text      []byte
	truncated bool
	pid, uid  int // of the sender; 0 and -1 when unknown
	fds       []int
	buffer    *buffer
}

// buffer holds a datagram and what came with it: credentials, and descriptors
// up to a few. The kernel closes those that do not fit.
type buffer struct {
	text    [longestMessage + 1]byte
	control [128]byte
}

// receive waits for a datagram. A socket that waits holds no buffer.
func (s *socket) receive(spare *sync.Pool) (got *received, err error) {
	failed := s.raw.Read(func(fd uintptr) (done bool) {
		b := spare.Get().(*buffer)
		n, controls, flags, _, failure := unix.Recvmsg(int(fd), b.text[:], b.control[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if failure != nil {
			spare.Put(b)
			err = failure
			return failure != unix.EAGAIN
		}
		got, err = &received{text: b.text[:n], truncated: flags&unix.MSG_TRUNC != 0, uid: -1, buffer: b}, nil
		got.read(b.control[:controls])
		return true
	})
	if failed != nil {
		return nil, failed
	}
	return got, err
}

// read takes credentials and descriptors out of control messages. What has not
// the size of either is neither: package unix reads beyond its end.
func (r *received) read(control []byte) {
	messages, _ := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		switch {
		case m.Header.Level != unix.SOL_SOCKET:
		case m.Header.Type == unix.SCM_CREDENTIALS && len(m.Data) >= unix.SizeofUcred:
			if c, err := unix.ParseUnixCredentials(&m); err == nil {
				r.pid, r.uid = int(c.Pid), int(c.Uid)
			}
		case m.Header.Type == unix.SCM_RIGHTS && len(m.Data)%4 == 0:
			fds, _ := unix.ParseUnixRights(&m)
			r.fds = append(r.fds, fds...)
		}
	}
}

// release closes the descriptors that came with the message and gives its
// memory back.
func (r *received) release(spare *sync.Pool) {
	for _, fd := range r.fds {
		_ = unix.Close(fd)
	}
	spare.Put(r.buffer)
}

// exists reports whether there is such a process, be it a zombie.
func exists(pid int) bool {
	return !errors.Is(unix.Kill(pid, 0), unix.ESRCH)
}
