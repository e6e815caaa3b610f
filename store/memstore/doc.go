// Package memstore is etcd in memory: a Server with etcd's semantics and Clients of it that
// implement store.KV. distsuperd solo runs on it, and so do tests and simulations.
//
// It promises what package storetest checks on it and on real etcd alike: revisions,
// transactions and their limits, leases in whole seconds whose expiry is found by a scan
// every 500 ms, watches from a revision, compaction, elections. Time comes from the clock
// that it is given and randomness from a source, so a run inside a synctest bubble takes
// no time.
//
// What goes wrong with etcd goes wrong here on request: Inject loses, refuses or delays single
// calls; a Client is Cut from the server; the Server elects, restarts, goes out of space, or
// is restored from an older Snapshot.
package memstore
