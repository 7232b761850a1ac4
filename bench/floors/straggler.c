// straggler FILE: leaves a daemon behind that needs 0.3 s after SIGTERM to put its
// things in order, and itself ends at once. FILE says when both run, and whether
// the daemon was done.

#include "shared.h"

static struct shared *s;
static volatile sig_atomic_t told;

static void terminated(int sig)
{
	(void)sig;
	told = 1;
}

static void run(void)
{
	sigset_t none;
	sigemptyset(&none);
	count(&s->running, &s->last_ran, 2);
	while (!told)
		sigsuspend(&none);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	s = map(argv[1]);
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	struct sigaction act = {.sa_handler = terminated};
	sigaction(SIGTERM, &act, NULL);
	pid_t pid = fork();
	if (pid < 0)
		return 1;
	alarm(60); // one that is forgotten ends by itself
	if (pid > 0) {
		run();
		return 0;
	}
	setsid();
	run();
	usleep(300000);
	s->cleaned = 1;
	return 0;
}
