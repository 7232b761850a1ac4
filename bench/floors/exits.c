// exits FILE: leaves an orphan behind and exits with a code that tells which
// process it was, PID modulo 251, until FILE says that it is enough.

#include "shared.h"

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	struct shared *s = map(argv[1]);
	alarm(120);
	if (__atomic_load_n(&s->end, __ATOMIC_ACQUIRE)) {
		for (;;)
			pause();
	}
	pid_t orphan = vfork();
	if (orphan == 0)
		_exit(252);
	__atomic_add_fetch(&s->exits, 1, __ATOMIC_RELEASE);
	_exit(getpid() % 251);
}
