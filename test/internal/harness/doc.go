// Package harness runs brood as its users do, and looks at what it does from
// the outside: exit codes, output, signals, PID files, the process tree.
//
// Every behaviour is tested in two Modes: as PID 1 of a PID namespace of its
// own, which is what a container's entrypoint is, and as a child in the tests'
// own namespace. After every run the harness checks that no process and no PID
// file was left behind.
//
// Workers are small programs in the test binary itself: a link to it called
// "worker" runs them (see the worker_*.go files), so a test reads
//
//	b := h.Start(t, "-n", "2", "--", "worker", "exit", "7")
//	b.WantCode(t, 7)
//
// Nothing here sleeps: what must come about is polled for, with a deadline.
//
// # Knobs
//
//	BROOD_TEST_BINARY   test this brood instead of building one
//	BROOD_TEST_REQUIRE  if set, what would skip a test fails it
//	BROOD_TEST_FULL     if set, storms have their full size
package harness
