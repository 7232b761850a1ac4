// Package notify speaks sd_notify(3): it hears what workers say to brood, and
// says to brood's own manager what brood has to say.
//
// # Who speaks
//
// Every slot has a socket of its own, so that one worker's flood fills no other
// worker's queue. The kernel adds the sender's process number to every message
// (SCM_CREDENTIALS, unix(7)); the caller's Owner says whose process that is. A
// message counts when it is the slot's: from its worker or a descendant. All
// others are refused and told of.
//
// A process number says something only while its process exists. A sender that
// has ended before its message is read cannot be told from a stranger and is
// refused, as systemd does: it has to wait with sd_notify_barrier(3), as
// systemd-notify(1) does by itself.
//
// # What is heard
//
// READY, STATUS, STOPPING, RELOADING, MONOTONIC_USEC, WATCHDOG, WATCHDOG_USEC,
// EXTEND_TIMEOUT_USEC, ERRNO, EXIT_STATUS and BARRIER. MAINPID, the FDSTORE
// family and others are understood and not followed. Descriptors that come with
// a message are closed at once; that is all that a BARRIER wants.
package notify
