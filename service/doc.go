// Package service makes a Go program a service of several processes, with all
// that brood does for them and no brood in the image: Prepare runs once, then
// MainLoop in each of N workers, and Finish once after them.
//
//	func main() {
//		os.Exit(service.Run(service.Service{
//			Prepare:  migrate,                  // once, in the parent, before any worker
//			MainLoop: serve,                    // in each worker, until its ctx ends
//			Finish:   report,                   // once, in the parent, after all workers
//			Defaults: []string{"--listen=tcp://:8080"},
//		}))
//	}
//
// The program is its own parent: it starts itself as each worker. It is wired
// like the command brood, so that flags, variables, signals, PID files, metrics,
// reloads and exit codes are those of the command, and its verbs too: "server
// status", "server reload", "server health". Words after -- are the program's
// own: a worker finds them in Worker.Args, and as os.Args[1:], so that package
// flag works in MainLoop as in any main. The default PID files bear the
// program's name.
//
// # What reaches a worker
//
// A worker is a new process that begins at main: no variable that Prepare has
// set is set there. What does reach it:
//
//   - the environment: os.Setenv in Prepare is for all workers;
//   - files, and whatever else has a name: a directory, a socket, a database;
//   - sockets that the parent has bound: --listen, and Listeners in the worker.
//
// Finish runs in the process of Prepare and finds what that has left.
//
// # What the parent is
//
// It adopts orphans and reaps whatever has ended, PID 1 or not. While Prepare or
// Finish runs it leaves processes to whoever has started them, so os/exec works
// there, but not in goroutines that go on after that. A process that is to stay,
// such as a helper beside the workers, belongs into Register. Without Prepare
// and Finish the parent lives in / and takes little memory; with them it stays
// where it was started and has the memory settings of any Go program.
//
// # Upgrades
//
// Workers execute the program by the path that it was started by, looked up at
// each start. When another file has taken its place, by a rename or a symbolic
// link that leads elsewhere, a reload replaces the workers by ones of the new
// program, and so does any restart. The parent, and with it Finish, stays what
// it is until the service itself is started again.
//
// # Before main
//
// A package of brood's that this one imports acts before main in two cases,
// both of which are a look at one variable otherwise: between fork and exec a
// worker with shared sockets, another user or the like is for a moment the
// program itself (_BROOD_STAGE). Packages that are initialised before it, few of
// which can import anything but syscall, are initialised in that moment too, so
// an init function should do nothing that others can see. Signals that arrive
// before Run are the subject of package early.
package service
