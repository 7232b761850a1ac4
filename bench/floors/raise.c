// raise FILE N PIDFILES SETTLE SIGNAL COMMAND...: runs a command that starts N
// workers of FILE, asks it by SIGNAL to stop after SETTLE ms, and prints three times
// in ns and the command's exit code: from the fork until all workers run and have
// their PID files, and from the signal until the last worker has had SIGTERM and
// until no process is left. PIDFILES names them with a %d for the number, from 1 up,
// or is "-". Each of these takes RAISE_SECONDS at most, or 30.

#include "shared.h"

static int seconds(void)
{
	const char *text = getenv("RAISE_SECONDS");
	return text ? atoi(text) : 30;
}

static struct shared *s;

// children lists those of this process.
static FILE *children(void)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
	return fopen(path, "r");
}

// fail ends what was started: whose parent is gone is a child of this process.
static void fail(const char *what)
{
	fprintf(stderr, "raise: %s\n", what);
	for (;;) {
		int pid, any = 0;
		FILE *list = children();
		while (list && fscanf(list, "%d", &pid) == 1 && ++any)
			kill(pid, SIGKILL);
		if (list)
			fclose(list);
		if (!any)
			exit(1);
		wait(NULL);
	}
}

// have waits for one PID file and reports whether that took any time.
static int have(const char *pattern, int number)
{
	char path[512];
	snprintf(path, sizeof path, pattern, number);
	if (access(path, F_OK) == 0)
		return 0;
	for (uint64_t end = now() + seconds() * 1000000000ull; access(path, F_OK) < 0;)
		if (now() > end)
			fail("a PID file is missing");
	return 1;
}

static void interrupt(int sig) { (void)sig; }

// gone waits until there are no children any more, and returns how pid ended.
static int gone(pid_t pid)
{
	struct sigaction act = {.sa_handler = interrupt};
	sigaction(SIGALRM, &act, NULL);
	alarm(seconds());
	int status, code = -1;
	for (;;) {
		pid_t ended = wait(&status);
		if (ended == pid)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (ended < 0 && errno == EINTR)
			fail("not all processes have ended in time");
		if (ended < 0)
			return code;
	}
}

int main(int argc, char **argv)
{
	if (argc < 7)
		return 2;
	s = map(argv[1]);
	memset(s, 0, sizeof *s);
	s->wanted = atoi(argv[2]);
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	uint64_t begun = now();
	pid_t pid = vfork();
	if (pid == 0) {
		execve(argv[6], argv + 6, environ);
		_exit(127);
	}
	if (await(&s->running, s->wanted, seconds()) < 0)
		fail("not all workers run in time");
	uint64_t up = s->last_ran;
	// The last file is nearly always the last one to come. If it is, looking for
	// the others is not part of the time.
	if (strcmp(argv[3], "-") != 0)
		for (int i = s->wanted; i > 0; i--)
			if (have(argv[3], i))
				up = now();

	usleep(atoi(argv[4]) * 1000);
	uint64_t asked = now();
	kill(pid, atoi(argv[5]));
	if (await(&s->told, s->wanted, seconds()) < 0)
		fail("not all workers have had SIGTERM in time");
	__atomic_store_n(&s->leave, 1, __ATOMIC_RELEASE);
	wake(&s->leave);
	int code = gone(pid);
	printf("%llu %llu %llu %d\n", (unsigned long long)(up - begun), (unsigned long long)(s->last_told - asked),
	       (unsigned long long)(now() - asked), code);
	return 0;
}
