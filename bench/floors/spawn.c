// spawn N COMMAND...: the least that starts N workers and passes SIGTERM on: a
// loop of vfork and exec, a loop of kill, a loop of wait.

#include "shared.h"

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	int n = atoi(argv[1]);
	pid_t *pids = calloc(n, sizeof *pids);
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	for (int i = 0; i < n; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			execve(argv[2], argv + 2, environ);
			_exit(127);
		}
		pids[i] = pid;
	}
	sigwaitinfo(&term, NULL);
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGTERM);
	while (wait(NULL) > 0)
		;
	return 0;
}
