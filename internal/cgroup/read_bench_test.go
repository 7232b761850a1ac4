package cgroup

import "testing"

// The reading is on the way from exec to the first worker, and again every few
// seconds while the limits are followed.
func BenchmarkReadThisMachine(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read("/", nil); err != nil {
			b.Fatal(err)
		}
	}
}
