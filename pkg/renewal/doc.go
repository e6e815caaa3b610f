// Package renewal decides how one lease is kept alive: when a renewal is sent, to which of etcd's endpoints, how long its
// answer is waited for, and until when the lease surely lives.
//
// A Renewer is a state machine without I/O and without a clock. Its Step takes what happened and returns what is to be done;
// package store/keepalive does it on a real store, and a simulator may do it on one of its own. Everything that holds a lease
// renews it by this one algorithm, since what fences a process and what ends a leadership must be equally hard to lose and
// equally quick to notice:
//
//   - A renewal is due one Interval after the last answered one was sent. It goes to one endpoint, over a stream that stays open.
//   - When Patience is over without an answer, or the stream fails, every endpoint is asked, each over a stream of its own, and again
//     each time that Patience is over. So a member that hangs or is dead delays nothing, and as soon as any of them can answer, one
//     of the questions is new enough to be answered at once: a member of etcd that has lost its leader looks for the next one only
//     once a second for a question that it holds already.
//   - The first answer counts, and the others are given up. The deadline moves by an answer alone, and is counted from the moment
//     at which the answered request was sent.
//   - An answer counts for nothing when it is of a lower raft term than the highest seen: a deposed leader may give it.
//   - Only an answer makes a lease Lost, or with EndAtDeadline the deadline. An error says nothing.
//   - The leader's endpoint is preferred, which answers without asking another member, unless it has failed since it was found.
package renewal
