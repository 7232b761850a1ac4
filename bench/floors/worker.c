// worker FILE: says in FILE when it runs and when it has had SIGTERM, then
// drains until it may leave.

#include "shared.h"

static struct shared *s;
static volatile sig_atomic_t told;

static void terminated(int sig)
{
	(void)sig;
	if (told)
		return;
	told = 1;
	count(&s->told, &s->last_told, s->wanted);
}

int main(int argc, char **argv)
{
	(void)argc;
	s = map(argv[1]);
	sigset_t term, none;
	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	struct sigaction act = {.sa_handler = terminated};
	sigaction(SIGTERM, &act, NULL);
	alarm(120); // one that is forgotten ends by itself
	count(&s->running, &s->last_ran, s->wanted);
	while (!told)
		sigsuspend(&none);
	await(&s->leave, 1, 60);
	return 0;
}
