// Package members makes one etcd of those that several distsuperd run: how a host joins, who votes, which data may start, and how a
// member is replaced.
//
// # Growing
//
// A host joins as a learner, which gets a copy and has no vote: whatever is wrong with it, with its address or with the way to it,
// nobody waits for it. It gets a vote when it has caught up, and only together with another, so that the number of votes stays odd: an
// etcd of two votes stops when either host does, and is worse than one. So of two hosts the second has a copy only, of
// four the fourth.
//
// # What may start
//
// Raft counts what a member has acknowledged. One that has forgotten it, since its data was lost or is an old copy, must not come back
// under its id: with another that was behind it would be a majority for a past without writes that were acknowledged, and so
// without touches and placements. It has to join again as another member. Three things tell:
//
//   - Its data is gone, and the others know a member with a vote at its address.
//   - The others say that it was removed, or are another etcd.
//   - The sequence number in its data is lower than the one that the others have of it. It rises at each start and, while etcd
//     changes, twice a minute: first in the data, then in etcd.
//
// The others are asked before each start. When none of them answers, as after the power failed everywhere, it starts: then nobody could.
// It is the same for a first host that lost all its state, and with it the authorities by which it could ask: it listens for a moment whether
// others look for a member at its address, and begins no etcd if so. What this does not notice is a host that was replaced before it started
// again, unless its configuration names the others ([embedded-etcd] peers).
//
// A copy that is less than half a minute old is not told from the data itself.
package members
