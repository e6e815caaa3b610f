// Package fsm decides the life of a process: supervisor's states and transitions as one
// pure table, with fencing added.
//
// Next takes a Lifecycle, the time, an Event and the Policy, and returns the next Lifecycle and
// the Effects to carry out, in order. It does no I/O, keeps no time and knows no pid. What
// its caller promises: it feeds the exits that it has seen before it feeds Tick, carries the
// effects out in order, answers Spawn with Spawned or SpawnFailed unless the lifecycle no longer
// wants a copy (Copy is not Wanted), answers AwaitGroup with GroupGone when the group is gone, and Sweep with Swept
// when nothing is left, and feeds Tick once Wake has come.
//
// Where supervisor has a bug that nobody relies on, it is not copied: a child that dies at
// once is never RUNNING, a stop in BACKOFF resets the counter, UNKNOWN has a way out, and time is
// the boot-time clock, so that it cannot go back.
package fsm
