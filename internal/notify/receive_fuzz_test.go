package notify

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// controlMessage is one as the kernel lays it out: cmsg(3).
func controlMessage(level, kind int32, data []byte) []byte {
	text := make([]byte, unix.CmsgSpace(len(data)))
	h := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(text)))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(text[unix.CmsgLen(0):], data)
	return text
}

func credentials(pid, uid uint32) []byte {
	c := unix.Ucred{Pid: int32(pid), Uid: uid, Gid: 7}
	return bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&c)), unix.SizeofUcred))
}

func descriptors(fds ...uint32) []byte {
	var data []byte
	for _, fd := range fds {
		data = binary.NativeEndian.AppendUint32(data, fd)
	}
	return data
}

// Who has sent a message is who the kernel says, and every descriptor that came
// with it is known, to be closed; nothing else is made of either.
func FuzzControl(f *testing.F) {
	const scmPidfd = 4
	creds := controlMessage(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, credentials(70, 1000))
	three := controlMessage(unix.SOL_SOCKET, unix.SCM_RIGHTS, descriptors(5, 6, 7))
	for _, text := range [][]byte{
		nil, creds, three, slices.Concat(creds, three), slices.Concat(three, creds, three),
		slices.Concat(controlMessage(unix.SOL_SOCKET, scmPidfd, descriptors(9)), creds),
		controlMessage(unix.SOL_IP, unix.SCM_CREDENTIALS, credentials(1, 0)),
		controlMessage(unix.SOL_SOCKET, unix.SCM_CREDENTIALS, []byte("short")),
		controlMessage(unix.SOL_SOCKET, unix.SCM_RIGHTS, []byte("12345")),
		creds[:20], slices.Concat(creds, three[:10]), make([]byte, 128),
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &received{uid: -1}
		r.read(text)
		pid, uid, fds := 0, -1, []int(nil)
		for _, m := range controls(text) {
			data := m.data
			switch {
			case m.level != unix.SOL_SOCKET:
			case m.kind == unix.SCM_CREDENTIALS && len(data) >= unix.SizeofUcred:
				pid = int(int32(binary.NativeEndian.Uint32(data)))
				uid = int(binary.NativeEndian.Uint32(data[4:]))
			case m.kind == unix.SCM_RIGHTS && len(data)%4 == 0:
				for ; len(data) >= 4; data = data[4:] {
					fds = append(fds, int(int32(binary.NativeEndian.Uint32(data))))
				}
			}
		}
		if r.pid != pid || r.uid != uid || !slices.Equal(r.fds, fds) {
			t.Errorf("%x: process %d of user %d with %v, want %d of %d with %v", text, r.pid, r.uid, r.fds, pid, uid, fds)
		}
	})
}

// header is that of a message, and what it carries.
type header struct {
	level, kind int32
	data        []byte
}

// controls are the messages in text; none when one of them is not whole.
func controls(text []byte) (all []header) {
	for len(text) >= unix.CmsgLen(0) {
		n := binary.NativeEndian.Uint64(text)
		if n < uint64(unix.CmsgLen(0)) || n > uint64(len(text)) {
			return nil
		}
		all = append(all, header{
			int32(binary.NativeEndian.Uint32(text[8:])), int32(binary.NativeEndian.Uint32(text[12:])), text[unix.CmsgLen(0):n],
		})
		text = text[min(len(text), unix.CmsgSpace(int(n)-unix.CmsgLen(0))):]
	}
	return all
}
