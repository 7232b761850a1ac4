// What the workers and those who start them share: one page of a mapped file.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct shared {
	uint32_t wanted;    // workers
	uint32_t running;   // workers that have reached main
	uint32_t told;      // workers that have had SIGTERM
	uint32_t leave;     // 1: told workers exit
	uint64_t last_ran;  // when the last of them reached main, CLOCK_MONOTONIC in ns
	uint64_t last_told; // when the last of them had SIGTERM
	uint64_t took;      // what a program has measured itself, in ns
	uint32_t exits;     // workers that are about to exit
	uint32_t end;       // 1: stop exiting
	uint64_t init_used; // CPU time of the init while a program measured, in ns
	uint32_t cleaned;   // stragglers that have finished their clean-up
};

static inline uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline struct shared *map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 4096) < 0) {
		perror(path);
		exit(1);
	}
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	return page;
}

static inline void wake(uint32_t *word) { syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0); }

// await returns when *word is wanted, or -1 after seconds.
static inline int await(uint32_t *word, uint32_t wanted, int seconds)
{
	uint64_t end = now() + (uint64_t)seconds * 1000000000;
	for (;;) {
		uint32_t is = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		if (is == wanted)
			return 0;
		if (now() > end)
			return -1;
		struct timespec second = {1, 0};
		syscall(SYS_futex, word, FUTEX_WAIT, is, &second, NULL, 0);
	}
}

// count adds one to *word after raising *last to now. Only the last one wakes
// who is waiting: a wake-up per worker would be part of what is measured.
static inline void count(uint32_t *word, uint64_t *last, uint32_t wanted)
{
	uint64_t at = now(), was = __atomic_load_n(last, __ATOMIC_RELAXED);
	while (was < at && !__atomic_compare_exchange_n(last, &was, at, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	if (__atomic_add_fetch(word, 1, __ATOMIC_RELEASE) == wanted)
		wake(word);
}
