// Package promise lets a machine go on without etcd, and still never run a second copy: every controller that could move one of its
// processes promises not to, for a while.
//
// A process may live while its lease surely does. When etcd does not answer, no lease can be renewed, and without more every process
// that is fenced would end, though nobody is there to start it elsewhere: whoever could are the controllers. So the agent
// asks all of them, and as long as each has promised lately to leave a process alone, it goes on.
//
// Both halves are state machines without I/O and without a clock:
//
//   - An Asker is an agent's: it decides when the set of controllers is read and when they are asked, and remembers what they granted.
//     Its Memory says until when a process is held. The keeper counts by the same Memory.
//   - A Grantor is a controller's: it grants, remembers what it promised, also on disk, and says whether something that expired may be
//     touched: Forbids.
//
// # The rules, and why each is there
//
// A hold counts from the sending of an ask, ends a margin early, and needs a promise of every controller of the set: the oldest one
// counts. A set is what the agent read of etcd, linearizably; it counts for MaxHold from the sending of that read. An empty set
// holds nothing: it proves only that somebody forgot the controllers. Nothing takes a promise back; a long one ends with etcd's return, which
// both sides see for themselves: Returns.
//
// A hold prolongs what has not ended: Prolong. Once the deadline that stood until then has passed, a promise that comes in proves
// nothing any more, since it may have been given after the process was moved. Only a lease brings back what was fenced.
//
// A controller keeps a promise by its own clocks, the slower of the two, and for longer than the agent counts on it: deadline.Wait
// and deadline.After are apart by more than clocks that are slewed by a twelfth can differ. It writes to disk that promises may be out
// before it gives the first, so that its next life waits for their end. It refuses an agent whose set is older than
// the newest registration of a controller that it knows of, and has that on disk, too, before it says so to anybody.
//
// A controller that has just registered is not in the sets that agents read before. Nobody asks it, so it must not act on what
// expired until these sets count no more: see Grantor.Registered.
package promise

import "time"

const (
	// Length is how long a controller promises to leave a process alone: three lost asks are survived, and its restart.
	Length = 10 * time.Second
	// TTL is Length in seconds, as that of a lease.
	TTL = int64(Length / time.Second)
	// AskEvery is the time between two asks.
	AskEvery = Length / 4
	// DefaultMaxHold is how long a set of controllers counts from the sending of the read that found it, where the controllers of
	// the set say nothing else: an outage of 10 minutes, that found the set a minute old, and the last promise.
	DefaultMaxHold = 12 * time.Minute
	// FarewellLength is how long the only controller promises before it leaves for a while: the reboot of its host, with checks.
	FarewellLength = 15 * time.Minute
	// SetEvery is how often the set is read while etcd answers.
	SetEvery = time.Minute
	// setRetry is how soon it is read again after a read failed.
	setRetry = 5 * time.Second
	// outAhead is how far ahead the disk says that promises may be out: not each of them needs a write.
	outAhead = time.Minute
)

// FirstAsk is how long a renewal of a lease of ttl seconds goes without an answer before the controllers are asked: their
// promises are in before the process gets its stop signal.
func FirstAsk(ttl int64) time.Duration { return time.Duration(ttl) * time.Second / 4 }

// NewcomerWait is how long a controller waits after its registration until no agent counts on a set without it: such an agent may
// hold for maxHold by clocks that are slow by a twelfth, and the newcomer's may be fast by one.
func NewcomerWait(maxHold time.Duration) time.Duration { return maxHold + maxHold/11 }
