package fanout

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// received takes out what has come so far, as the codes of exits.
func received(in <-chan Input) (codes []int) {
	for len(in) > 0 {
		codes = append(codes, (<-in).(Exited).Code)
	}
	return codes
}

func numbered(code int) Input {
	var in Exited
	in.Code = code
	return in
}

func TestAnInputOvertakesNoneThatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan Input, 100)
		o := newOutbox(in, nil)
		o.hold(numbered(1))
		o.hold(numbered(2))
		if got := received(in); got != nil {
			t.Errorf("%v came at once", got)
		}
		o.send(numbered(3))
		o.hold(numbered(4))
		o.flush()
		if got := received(in); !slices.Equal(got, []int{1, 2, 3, 4}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestTheEngineHearsOfAStartThoughTheNextOneHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan Input, 100)
		o := newOutbox(in, nil)
		for range 2 {
			o.hold(numbered(1))
			o.hold(numbered(2))
			<-time.After(holdLongest)
			synctest.Wait()
			if got := received(in); !slices.Equal(got, []int{1, 2}) {
				t.Errorf("got %v", got)
			}
		}
	})
}

func TestManyAreNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan Input, 100)
		o := newOutbox(in, nil)
		for i := range holdMost {
			o.hold(numbered(i))
		}
		if got := received(in); len(got) != holdMost {
			t.Errorf("got %v", got)
		}
	})
}

func TestNobodyWaitsForAnEngineThatHasEnded(t *testing.T) {
	closed := make(chan struct{})
	o := newOutbox(make(chan Input), closed)
	o.hold(numbered(1))
	close(closed)
	o.send(numbered(2))
}
