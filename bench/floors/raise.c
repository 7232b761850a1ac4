// raise FILE N PIDFILES SETTLE COMMAND...: runs a command that starts N workers
// of FILE, sends it SIGTERM after SETTLE ms, and prints two times in ns: from the
// fork until all workers run and have their PID files, and from the SIGTERM until
// the last worker has had it. PIDFILES names them with a %d for the number, from
// 1 up, or is "-". It waits for RAISE_SECONDS at most, or 30.

#include "shared.h"

static int seconds(void)
{
	const char *text = getenv("RAISE_SECONDS");
	return text ? atoi(text) : 30;
}

static struct shared *s;

// fail stops the command, whose workers may leave at once.
static void fail(const char *what, pid_t pid)
{
	fprintf(stderr, "raise: %s\n", what);
	__atomic_store_n(&s->leave, 1, __ATOMIC_RELEASE);
	wake(&s->leave);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	exit(1);
}

// have waits for one PID file and reports whether that took any time.
static int have(const char *pattern, int number, pid_t pid)
{
	char path[512];
	snprintf(path, sizeof path, pattern, number);
	if (access(path, F_OK) == 0)
		return 0;
	for (uint64_t end = now() + seconds() * 1000000000ull; access(path, F_OK) < 0;)
		if (now() > end)
			fail("a PID file is missing", pid);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	s = map(argv[1]);
	memset(s, 0, sizeof *s);
	s->wanted = atoi(argv[2]);

	uint64_t begun = now();
	pid_t pid = vfork();
	if (pid == 0) {
		execve(argv[5], argv + 5, environ);
		_exit(127);
	}
	if (await(&s->running, s->wanted, seconds()) < 0)
		fail("not all workers run in time", pid);
	uint64_t up = s->last_ran;
	// The last file is nearly always the last one to come. If it is, looking for
	// the others is not part of the time.
	if (strcmp(argv[3], "-") != 0)
		for (int i = s->wanted; i > 0; i--)
			if (have(argv[3], i, pid))
				up = now();

	usleep(atoi(argv[4]) * 1000);
	uint64_t asked = now();
	kill(pid, SIGTERM);
	if (await(&s->told, s->wanted, seconds()) < 0)
		fail("not all workers have had SIGTERM", pid);
	__atomic_store_n(&s->leave, 1, __ATOMIC_RELEASE);
	wake(&s->leave);
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "raise: the command has ended with status 0x%x\n", status);
		return 1;
	}
	printf("%llu %llu\n", (unsigned long long)(up - begun), (unsigned long long)(s->last_told - asked));
	return 0;
}
