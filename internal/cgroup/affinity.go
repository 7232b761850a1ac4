package cgroup

import (
	"math/bits"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Affinity counts the CPUs that the process may be scheduled on, from
// sched_getaffinity(2): the mask of its first thread, with the cpuset already
// taken into account by the kernel.
func Affinity() (int, error) {
	return countMask(func(mask []uint64) (int, error) {
		n, _, errno := unix.RawSyscall(unix.SYS_SCHED_GETAFFINITY,
			uintptr(unix.Getpid()), uintptr(len(mask)*8), uintptr(unsafe.Pointer(&mask[0])))
		if errno != 0 {
			return 0, errno
		}
		return int(n), nil
	})
}

// countMask counts the bits of the mask that get fills; get returns how many
// bytes it has written. The kernel answers EINVAL to a mask with fewer bits than
// it was built for, so the mask of 1024 CPUs, which is all that
// unix.SchedGetaffinity knows, grows until it fits.
func countMask(get func(mask []uint64) (int, error)) (int, error) {
	const start, most = 1024 / 64, (1 << 20) / 64
	for words := start; ; words *= 2 {
		mask := make([]uint64, words)
		n, err := get(mask)
		if err == unix.EINVAL && words < most {
			continue
		}
		if err != nil {
			return 0, err
		}
		count := 0
		for _, word := range mask[:min((n+7)/8, words)] {
			count += bits.OnesCount64(word)
		}
		return count, nil
	}
}
