// first COMMAND...: executes the command as the first process of a namespace in
// which it has been started, with a /proc that shows the processes there.

#include "shared.h"

#include <sys/mount.h>

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0) {
		perror("/proc");
		return 1;
	}
	execve(argv[1], argv + 1, environ);
	perror(argv[1]);
	return 1;
}
