// Package core decides everything that a keeper decides: which runs may begin and in which order they are
// spawned, when a copy is fenced, killed, looked for and started again, and how a keeper ends.
//
// A Core is a state machine for one goroutine. Step takes the moment and one Event and returns the Effects to
// carry out, in their order. It does no I/O, reads no clock and never iterates over a map, so the same events at the same moments
// give the same effects. Package engine carries the effects out with real processes, package keepertest with pretended ones, and
// a simulator may drive the cores of many keepers in one goroutine, each with clocks of its own.
//
// A keeper lives in turns. In each of them its shell hands in, in this order:
//
//   - Begin, which enforces deadlines,
//   - an Exited for each main process that was seen to have ended,
//   - Tick, so that time has its effects,
//   - what was asked for: Start, Update, Stop, Kill, Renew, Forget, Shutdown,
//   - Next for as long as Waiting, each of which lets at most one copy be spawned,
//   - Settle, which tells when the next turn must come at the latest.
//
// Whatever is handed in, Step enforces the deadlines that have passed by then, on either clock, before it does what is asked for. So
// a deadline that came while a copy waited to be spawned, or while the one before it was, is seen just before the exec. What carrying
// out an effect shows at once (Spawn, Look) is handed in before anything else; Drive sees to that.
//
// What Core promises: no two copies of a process are alive at once; none is spawned at or after its deadline, or while anything of
// the one before it is left; at the soft end of a fence its copy gets the stop signal and at the hard end all of it SIGKILL; a run
// that is Done has nothing alive; Guard never stands later than the earliest deadline that the shell might fail to enforce.
package core
