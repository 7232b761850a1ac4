// Package cgroup2_test runs brood on a machine that has cgroup v2 and nothing
// else, and then a hybrid of both versions, whatever the host has: Debian's kernel in
// QEMU, without any help of the processor, and an initial file system that holds
// three static programs. In the full tests it does the same on a machine with
// arm64.
//
// brood, the guest of the Docker tests, and machine, which is the machine's
// first process, makes control groups, runs brood in them as a container engine
// would, and says on the serial line what it has found. It takes some seconds.
package cgroup2_test
