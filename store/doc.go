// Package store is the only package that speaks etcd.
//
// It has three layers. KV is what we need of etcd: linearizable reads, transactions,
// watches, leases, and an election; package store implements it on clientv3 (Open), package
// memstore in memory, and package storetest holds both to the same behaviour. Keys builds
// and parses every key. Mirror keeps a prefix current in memory and tells what changed.
//
// One kind of writer a subtree (design.md 4): ctl and the API write programs and intents,
// the leader placements and owners, each agent its own machine. Nothing here decides; callers say in every
// transaction what must still be true.
package store
