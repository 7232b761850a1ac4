package notify

import (
	"strconv"
	"time"
)

// longestWatchdog catches a WATCHDOG_USEC that is a slip.
const longestWatchdog = 10000 * time.Hour

// Period is how often the process pid has to say WATCHDOG=1, which is twice in
// the time that sd_watchdog_enabled(3) would return; 0 for never.
func Period(getenv func(string) string, pid int) time.Duration {
	if whose := getenv("WATCHDOG_PID"); whose != "" && whose != strconv.Itoa(pid) {
		return 0
	}
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec < 2 || usec > int64(longestWatchdog/time.Microsecond) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}
