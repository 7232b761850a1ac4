// Package entrypoint is the command: configuration (default, env file,
// environment, flag), the wiring of the parts, the verbs and the exit code.
package entrypoint
