// Package recovery leads a fleet out of the state in which its store went back: restored from a snapshot, wiped, or exchanged.
//
// Every daemon that notices refuses the store from then on (package seen), starts, places and renews nothing, and reports
// to it what it has seen and what runs on its machine (Reporter). What is fenced ends at its deadline; what is kept goes on.
// Accept then makes the store count as it is: nobody leads meanwhile; what runs is taken over as it runs, so that it goes on
// under its token; what nobody reports is placed anew, under a new token; and every token from then on is above all that any
// living daemon has seen. Decide, which is pure, says what that comes to.
//
// # Why there are never two copies
//
// A copy from before belongs to a machine that reports, or to one that is silent.
//
// It reports: the copy stands in the report as long as it lives. Accept writes its owner, placement and status, and a touch
// on a lease which outlives every deadline that the copy can have; and it revokes what has come back of the leases of before, so that
// no renewal of one of them moves that deadline. From then on it is a run like any other: the agent puts the
// touch on a lease of its own, or does not, and then the copy has ended before that lease expires. With on_partition keep the
// status says so, and nothing moves without a proof.
//
// It is silent: its last renewal was answered by the store of before, so a copy that is fenced has ended when the longest
// touch_timeout is over, which Wait tells and the asker waits for before Accept. A kept copy that the store knows of has its
// status there, which protects it as ever. One that the store does not know of, on a machine that does not report, nobody but
// an operator can know of: so Decide names every silent machine, and somebody has to say that it is off.
//
// Before any of this, and where a controller believes the store because it lost its memory with it: a leader starts nothing elsewhere that
// a report names (controller/plan, heldElsewhere).
//
// A machine that believes the store and is live never had anything that the store lacks, as far as it can tell: it goes on.
//
// The leader of before cannot write: its election key is deleted, and no other is announced before Accept is done or has been
// given up. An agent that does not believe the store does not start anything by it, whatever is written there, and one that
// comes to believe it later begins with what stands there then.
package recovery
