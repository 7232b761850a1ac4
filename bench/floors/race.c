// race RUNS COMMAND... [:: COMMAND...]...: runs the commands by turns and prints
// for each turn how long each one took, from fork to wait, in ns.

#include "shared.h"

static uint64_t run(char **argv)
{
	uint64_t begun = now();
	int status;
	pid_t pid = vfork();
	if (pid == 0) {
		execve(argv[0], argv, environ);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "%s ended with status 0x%x\n", argv[0], status);
		exit(1);
	}
	return now() - begun;
}

int main(int argc, char **argv)
{
	char **commands[16];
	int n = 0;
	for (int i = 2; i < argc && n < 16; i++) {
		if (i == 2 || argv[i - 1] == NULL)
			commands[n++] = argv + i;
		if (strcmp(argv[i], "::") == 0)
			argv[i] = NULL;
	}
	for (int turns = atoi(argv[1]); turns > 0; turns--)
		for (int i = 0; i < n; i++)
			printf("%llu%c", (unsigned long long)run(commands[i]), i == n - 1 ? '\n' : ' ');
	return 0;
}
