// raise FILE N LAST SETTLE COMMAND...: runs a command that starts N workers of
// FILE, sends it SIGTERM after SETTLE ms, and prints two times in ns: from the
// fork until all workers run and the file LAST is there (unless it is "-"), and
// from the SIGTERM until the last worker has had it.

#include "shared.h"

static void fail(const char *what, pid_t pid)
{
	fprintf(stderr, "raise: %s\n", what);
	kill(pid, SIGKILL);
	exit(1);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	struct shared *s = map(argv[1]);
	memset(s, 0, sizeof *s);
	s->wanted = atoi(argv[2]);
	const char *last = argv[3];

	uint64_t begun = now();
	pid_t pid = vfork();
	if (pid == 0) {
		execve(argv[5], argv + 5, environ);
		_exit(127);
	}
	if (await(&s->running, s->wanted, 30) < 0)
		fail("not all workers run after 30 s", pid);
	uint64_t up = s->last_ran;
	if (strcmp(last, "-") != 0) {
		while (access(last, F_OK) < 0)
			if (now() - begun > 30000000000)
				fail("the last PID file is missing after 30 s", pid);
		up = now();
	}

	usleep(atoi(argv[4]) * 1000);
	uint64_t asked = now();
	kill(pid, SIGTERM);
	if (await(&s->told, s->wanted, 30) < 0)
		fail("not all workers have had SIGTERM after 30 s", pid);
	__atomic_store_n(&s->leave, 1, __ATOMIC_RELEASE);
	wake(&s->leave);
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		fail("the command has failed", pid);
	printf("%llu %llu\n", (unsigned long long)(up - begun), (unsigned long long)(s->last_told - asked));
	return 0;
}
