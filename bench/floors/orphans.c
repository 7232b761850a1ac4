// orphans FILE N INIT: makes N orphans, a hundred at a time and as fast as it can,
// and writes into FILE how long it took until none of them was left, not even as a
// zombie, and how much CPU time the init has used meanwhile. INIT is the process
// that adopts them, or 0 for the parent.

#include <dirent.h>

#include "shared.h"

enum { batch = 100 };

// waiting reports whether pid is still a child of the init: its number can
// belong to somebody else by now.
static int waiting(pid_t pid, pid_t init)
{
	if (kill(pid, 0) < 0)
		return 0;
	char path[64], stat[512];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, stat, sizeof stat - 1);
	close(fd);
	if (got <= 0)
		return 0;
	stat[got] = 0;
	char *rest = strrchr(stat, ')');
	char state;
	int parent;
	return rest && sscanf(rest + 1, " %c %d", &state, &parent) == 2 && parent == init;
}

// used is the CPU time of all threads of a process, in ns.
static uint64_t used(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	uint64_t sum = 0;
	for (struct dirent *task; tasks && (task = readdir(tasks));) {
		char file[512];
		snprintf(file, sizeof file, "%s/%s/schedstat", path, task->d_name);
		FILE *in = fopen(file, "r");
		unsigned long long ran;
		if (in && fscanf(in, "%llu", &ran) == 1)
			sum += ran;
		if (in)
			fclose(in);
	}
	if (tasks)
		closedir(tasks);
	return sum;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	struct shared *s = map(argv[1]);
	int n = atoi(argv[2]) / batch * batch;
	pid_t init = atoi(argv[3]) ? atoi(argv[3]) : getppid();
	pid_t *pids = mmap(NULL, n * sizeof *pids, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t used_before = used(init);
	uint64_t begun = now();
	for (int i = 0; i < n; i += batch) {
		pid_t parent = fork();
		if (parent == 0) {
			for (int j = i; j < i + batch; j++) {
				pid_t orphan = vfork();
				if (orphan == 0)
					_exit(j % 256);
				pids[j] = orphan;
			}
			_exit(0);
		}
		waitpid(parent, NULL, 0);
	}
	for (int i = 0; i < n; i++)
		while (waiting(pids[i], init))
			usleep(50);
	s->took = now() - begun;
	s->init_used = used(init) - used_before;
	return 0;
}
