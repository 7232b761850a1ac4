package fanout

import "fmt"

// Serves returns nil when the brood should get requests, and otherwise why not:
// at least readyMin workers are ready (0 stands for all wanted but unavailable,
// at least one), for the first time only once all have been.
func (s *Snapshot) Serves(readyMin, unavailable int) error {
	if readyMin == 0 {
		readyMin = max(1, s.Wanted-unavailable)
	}
	switch {
	case s.Phase == PhasePreparing:
		return fmt.Errorf("not ready: the prepare hook runs")
	case s.Stopping():
		return fmt.Errorf("not ready: %s", s.Phase)
	case s.Wanted == 0:
		return fmt.Errorf("not ready: no worker is wanted")
	case !s.AllBeen:
		return fmt.Errorf("not ready: %d of %d workers are ready, not all have been yet", s.Ready, s.Wanted)
	case s.Ready < readyMin:
		return fmt.Errorf("not ready: %d of %d workers are ready, at least %d wanted", s.Ready, s.Wanted, readyMin)
	}
	return nil
}
