// Package guardian has the two that step in where a keeper does not enforce a deadline, or dies: the guardian, a small child
// process in a session of its own, and the backstop, a timer of the kernel.
//
// The guardian (Main) waits for its keeper's death and kills whatever that keeper started; it also reads the earliest
// deadline that is not enforced yet from a page of memory that both share, and kills the keeper that lets it pass. The
// keeper's side of it is a Guard. A Backstop is what the kernel does when the keeper is stopped, traced or hung.
package guardian
