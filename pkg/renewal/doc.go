// Package renewal decides how one lease is kept alive: when a renewal is sent, to which of etcd's endpoints, how long its
// answer is waited for, and until when the lease surely lives.
//
// A Renewer is a state machine without I/O and without a clock. Its Step takes what happened and returns what is to be done;
// package store/keepalive does it on a real store, and a simulator may do it on one of its own. Everything that holds a lease
// renews it by this one algorithm, since what fences a process and what ends a leadership must be equally hard to lose and
// equally quick to notice:
//
//   - A renewal is due one Interval after the last one was begun. One attempt may take AttemptTime, opening its stream included;
//     after that, or an error, the next endpoint is asked at once. When all have failed there is a pause that doubles.
//   - The deadline moves by an answer alone, and is counted from the moment at which the answered request was sent.
//   - An answer counts for nothing when it is of a lower raft term than the highest seen: a deposed leader may give it.
//   - Only an answer makes a lease Lost, or with EndAtDeadline the deadline. An error says nothing.
//   - The leader's endpoint is preferred, which answers without asking another member, unless it has just failed.
package renewal
