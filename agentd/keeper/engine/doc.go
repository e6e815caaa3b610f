// Package engine is the keeper itself: the parent of every supervised process of a machine.
//
// What is to be done when is decided by package core; the engine carries it out with real processes, and tells what became of them.
//
// One OS thread, the program's main thread, runs the loop: it alone forks, signals, reaps and
// enforces deadlines. It never waits for a disk, a user database or a lock that is held over one:
// what needs those (users, templates, paths) is resolved on the goroutine of the call that asks for a run,
// log lines go through a queue, and output belongs to the log collector. Calls from other goroutines
// reach the loop as closures in a queue and read what it publishes: how the runs are (package board), and what happened (journal).
//
// The kernel watches the loop: a POSIX timer whose signal is SIGKILL to the keeper itself stands a
// little behind the earliest deadline that the loop has not enforced yet, and is moved on by the loop alone.
// When the keeper dies, so do its children (PDEATHSIG), and the guardian, a small child process of a
// session of its own, kills what they started.
//
// What a run starts is held in a cage: a cgroup of its own where cgroup v2 lets us, else
// found among the keeper's descendants (it is their subreaper). A new copy starts only in an empty cage.
//
// Its rooms: launch says how a process is started on this machine, contain holds what it starts, guardian steps in where the loop
// does not, forkexec forks.
//
// The package needs Linux 5.4, and CLONE_INTO_CGROUP (5.7) for cgroups.
package engine
