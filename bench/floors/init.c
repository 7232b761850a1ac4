// init COMMAND...: the least that runs one command and reaps what it leaves
// behind.

#include "shared.h"

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t main_child = vfork();
	if (main_child == 0) {
		execve(argv[1], argv + 1, environ);
		_exit(127);
	}
	for (;;) {
		int status;
		pid_t pid = wait(&status);
		if (pid == main_child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid < 0 && errno == ECHILD)
			return 1;
	}
}
