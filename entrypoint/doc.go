// Package entrypoint is the command: configuration (default, env file,
// environment, flag), the wiring of the parts, the verbs and the exit code.
//
// To read it, begin with Main in run.go. It leads to one of three: a verb that
// asks a running brood (command_verbs.go), a daemon that is started or stopped
// (daemon.go), or start, which prepares all that workers need and can still say
// no. From there runActors in actors.go wires the engine with those that serve it.
package entrypoint
