package early

import (
	"strconv"
	"syscall"
)

// needDescriptors is what one worker takes to be started, without metrics.
const needDescriptors = 16

// checkDescriptors ends the program where the runtime would with a dump of all
// goroutines: it cannot make its epoll with a limit of 7, and some libraries open
// files as they initialise.
func checkDescriptors() {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= needDescriptors {
		return
	}
	const ownFailure = 125
	_, _ = syscall.Write(2, []byte("brood: cannot work with "+strconv.FormatUint(limit.Cur, 10)+
		" open files: raise the limit (ulimit -n, docker run --ulimit nofile) to "+strconv.Itoa(needDescriptors)+" or more\n"))
	syscall.Exit(ownFailure)
}
