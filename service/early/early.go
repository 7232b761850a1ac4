// Package early takes the stop signals before the other packages of a service
// are initialised.
//
// Until a Go program is notified of SIGTERM, the signal ends it: as PID 1 with
// code 2, and not with the 0 of a service that was stopped before it has started
// anything. The window is the time that the imports of the program take to
// initialise, a few milliseconds. Whoever wants to close it passes Signals to
// service.Run:
//
//	func main() {
//		os.Exit(service.Run(service.Service{
//			Signals: early.Signals(),
//			...
//
// Importing this package acts: from then on nobody dies of SIGTERM, SIGINT,
// SIGQUIT and SIGHUP until Run reads them. So only a main package should import
// it, one that always calls Run, and no package whose tests somebody may want to
// end by Ctrl-C.
package early

import (
	"os"

	"github.com/brood-init/brood/internal/early"
)

// Signals is the channel that the early signals arrive on.
func Signals() chan os.Signal { return early.Signals() }
