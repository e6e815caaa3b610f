// Package daemon manages a background process: it starts one and learns whether it is ready or
// why not, keeps a second one out, finds it again, and ends it.
//
// A daemon is the same binary in its `run` role, in a session of its own. What says that it lives
// is a lock on its pid file, which the kernel drops with the process however it ends; the kernel
// also names the holder, so the number in the file is for people only and a signal never goes to
// a stranger who got an old number. Readiness comes over an inherited pipe, and to systemd.
//
// The package knows nothing of what the daemons do. It is for Linux.
package daemon
