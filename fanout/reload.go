package fanout

import (
	"errors"
	"fmt"
	"time"
)

// reload is a replacement of all workers, slot by slot under the disruption
// budget. The first failure ends it: workers that were not replaced yet stay.
type reload struct {
	began    time.Time
	total    int
	replaced int
	answers  []chan<- error
	again    bool // asked for once more meanwhile
	waiting  []chan<- error
}

// ErrStopping is the answer to what is asked of a brood that stops.
var ErrStopping = errors.New("brood is stopping")

// ReloadAsked asks for a reload. Answer, which may be nil, must have room for
// the one error that says how it ended; nil is success.
type ReloadAsked struct{ Answer chan<- error }

func (e *Engine) reloadAsked(answer chan<- error) {
	switch {
	case e.phase != PhaseRunning:
		reply(answer, fmt.Errorf("cannot reload: %w", e.notRunning()))
	case e.reload != nil:
		e.reload.again = true
		e.reload.waiting = append(e.reload.waiting, answer)
	default:
		e.beginReload([]chan<- error{answer})
	}
}

func (e *Engine) notRunning() error {
	if e.phase == PhasePreparing {
		return errors.New("the prepare hook runs")
	}
	return ErrStopping
}

func (e *Engine) beginReload(answers []chan<- error) {
	e.reload = &reload{began: time.Now(), answers: answers}
	for s := range e.slots.all() {
		if s.finished || s.closing {
			continue
		}
		e.makeDue(s, CauseReload)
		e.reload.total++
	}
	// The only worker leads, and the leader is never surged.
	e.emit(ReloadBegan{Slots: e.reload.total, Down: e.reload.total == 1})
}

// finishReload ends a reload that has nothing left to do.
func (e *Engine) finishReload() {
	if e.reload == nil {
		return
	}
	for s := range e.slots.all() {
		if s.due == CauseReload || s.reloadToo || s.underway == CauseReload {
			return
		}
	}
	e.endReload(0, "")
}

// endReload ends the reload, well or because of a slot, and begins the next one
// if it was asked for.
func (e *Engine) endReload(slot int, why string) {
	r := e.dropReload(slot, why)
	if r != nil && r.again {
		e.beginReload(r.waiting)
		return
	}
	e.followLimit()
}

// dropReload ends the reload, tells who waits for it, and returns it; nil when
// there is none.
func (e *Engine) dropReload(slot int, why string) *reload {
	r := e.reload
	if r == nil {
		return nil
	}
	e.reload = nil
	e.dirty = true
	for s := range e.slots.all() {
		if s.due == CauseReload {
			e.clearDue(s)
			e.recycleIfOld(s)
		}
		s.reloadToo = false
		if s.underway == CauseReload {
			s.underway = ""
			e.touch(s)
		}
	}
	var err error
	if why != "" {
		err = fmt.Errorf("reload failed: %s; %d of %d workers were replaced, the others stay", describeFailure(slot, why), r.replaced, r.total)
	}
	e.emit(ReloadEnded{Replaced: r.replaced, Slots: r.total, Took: time.Since(r.began), Err: err})
	for _, answer := range r.answers {
		reply(answer, err)
	}
	return r
}

// abortReload is what a stop does to a reload.
func (e *Engine) abortReload() {
	if r := e.dropReload(0, "brood stops"); r != nil {
		for _, answer := range r.waiting {
			reply(answer, fmt.Errorf("cannot reload: %w", ErrStopping))
		}
	}
}

func describeFailure(slot int, why string) string {
	if slot == 0 {
		return why
	}
	return fmt.Sprintf("slot %d: %s", slot, why)
}

// reply never blocks: who asks has made room for the answer.
func reply(answer chan<- error, err error) {
	if answer == nil {
		return
	}
	select {
	case answer <- err:
	default:
	}
}
