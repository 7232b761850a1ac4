package staging_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/brood-init/brood/internal/staging"
)

// BenchmarkStart is the time from the order to the end of /bin/true, directly
// and through the stage; min-ms is what there is to compare.
func BenchmarkStart(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := staging.New("/proc")
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for name, via := range map[string]*staging.Stage{"directly": nil, "staged": s} {
		b.Run(name, func(b *testing.B) {
			least := time.Hour
			for range b.N {
				began := time.Now()
				p, err := start(via, staging.Command{Path: "/bin/true", Args: []string{"true"}, Attributes: staging.Attributes{NoNewPrivs: true}})
				if err != nil {
					b.Fatal(err)
				}
				_, _ = p.end()
				least = min(least, time.Since(began))
			}
			b.ReportMetric(float64(least.Microseconds())/1000, "min-ms")
		})
	}
}
