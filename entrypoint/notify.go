package entrypoint

import (
	"context"
	"os"
	"time"

	"github.com/brood-init/brood/fanout"
	"github.com/brood-init/brood/internal/notify"
)

// notifier tells brood's own manager, such as systemd, how brood is: see
// sd_notify(3) and sd_watchdog_enabled(3).
type notifier struct {
	w        *window
	address  string
	watchdog time.Duration // 0 for none
	changed  chan struct{} // capacity 1: something may have become ready
	stopping chan struct{} // capacity 1
}

// newNotifier returns nil when nobody wants to know.
func newNotifier(w *window) *notifier {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	return &notifier{
		w: w, address: address, watchdog: notify.Period(os.Getenv, os.Getpid()),
		changed: make(chan struct{}, 1), stopping: make(chan struct{}, 1),
	}
}

// observe never blocks: a hint that is there already is enough.
func (n *notifier) observe(_ time.Time, ev fanout.Event) {
	to := n.changed
	switch ev.(type) {
	case fanout.WorkerReady:
	case fanout.StopBegan:
		to = n.stopping
	default:
		return
	}
	select {
	case to <- struct{}{}:
	default:
	}
}

// soon is after what an event led to was published.
const soon = 20 * time.Millisecond

func (n *notifier) serve(stop <-chan struct{}) error {
	var beat <-chan time.Time
	if n.watchdog > 0 {
		ticker := time.NewTicker(n.watchdog)
		defer ticker.Stop()
		beat = ticker.C
	}
	changed := (<-chan struct{})(n.changed)
	var again <-chan time.Time
	for {
		select {
		case <-changed:
			again = time.After(soon)
		case <-again:
			again = nil
			if n.w.serves() == nil {
				changed = nil // once is enough
				_ = notify.Send(n.address, "READY=1")
			}
		case <-beat:
			n.feed()
		case <-n.stopping:
			_ = notify.Send(n.address, "STOPPING=1")
		case <-stop:
			return nil
		}
	}
}

// feed says that brood lives, if its engine does.
func (n *notifier) feed() {
	ctx, cancel := context.WithTimeout(context.Background(), n.watchdog)
	defer cancel()
	if n.w.host.Ask(ctx) == nil {
		_ = notify.Send(n.address, "WATCHDOG=1")
	}
}
