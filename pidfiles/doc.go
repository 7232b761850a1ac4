// Package pidfiles is the contract by which processes make themselves known to
// a master: a file per process, in one directory, that holds its PID.
//
// A Pattern such as /run/brood/web.pid stands for /run/brood/web.<i>.pid. The
// integer i is the slot of a worker, and any other process takes part by
// writing its PID into a file with a free i. The master's own file bears the
// word "master" for i, and a lock.
//
// # What is believed
//
// A PID in a file is a claim by somebody, some time ago, and a signal to the
// wrong process is worse than none. A claim is believed only when
//
//   - the directory belongs to root or to us, and nobody else may write to it;
//   - the file is regular, has one name, and holds one decimal number above 1
//     that is not our own PID;
//   - the number is a process, not a thread of one;
//   - the file's owner could signal the process: root, we, or its real or saved
//     user (the rule of kill(2), seen from the file);
//   - the process started before the file was written, give or take a second.
//     One that started later has inherited the PID of the process meant.
//
// Everything else is a Problem: told to the caller, never acted upon, and never
// in the way of the other files.
//
// The pidfd is opened before the start time is read, and signals go through it,
// so no moment is left in which the PID could pass to somebody else. It takes
// Linux 5.3. Where a kernel or a seccomp filter refuses, the start time is read
// again immediately before kill(2), and Dir.Degraded says so.
//
// # What is written
//
// Files appear complete, by rename, with mode 0644 whatever the umask. Nothing
// is synced to disk: no PID outlives the kernel that gave it. A file is only
// replaced or removed when it is ours or what it claims is certainly over.
//
// All work goes through a descriptor of the directory as it was when it was
// checked; a path that is swapped for another afterwards changes nothing.
package pidfiles
