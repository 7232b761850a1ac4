package notify

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// sendWithin bounds a Send: a manager that does not read for that long is not
// worth waiting for.
const sendWithin = 500 * time.Millisecond

// ErrAddress says that an address is none that Send knows.
var ErrAddress = errors.New("want a path that starts with / or an abstract name that starts with @")

// Send says state, newline-separated assignments, to the manager at address,
// which is a NOTIFY_SOCKET as sd_notify(3) describes it, except for vsock. It
// takes half a second at most. An empty address is no error: nobody listens.
func Send(address, state string) error {
	if address == "" {
		return nil
	}
	if strings.HasPrefix(address, "vsock") {
		return fmt.Errorf("cannot notify %q: vsock is not supported: %w", address, ErrAddress)
	}
	if address[0] != '/' && address[0] != '@' || len(address) == 1 {
		return fmt.Errorf("cannot notify %q: %w", address, ErrAddress)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot notify %q: %w", address, reason(err))
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(sendWithin)); err != nil {
		return fmt.Errorf("cannot notify %q: %w", address, err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("cannot notify %q: %w", address, reason(err))
	}
	return nil
}

// reason is an error without the address, which is in ours.
func reason(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
