// Package store is the only package that speaks etcd.
//
// It has three layers. KV is what we need of etcd: linearizable reads, transactions,
// watches, leases, and an election; package store implements it on clientv3 (Open), package
// memstore in memory, and package storetest holds both to the same behaviour. Keys builds
// and parses every key. Follow hands on what stands below a prefix and every change of it.
//
// Around these: Seen refuses a store that went back, History tells what happened in the
// transaction of the change itself, and Init, CheckSchema and Drop make, check and remove a key space.
//
// One kind of writer a subtree (design.md 4): ctl and the API write programs and intents,
// the leader placements and owners, each agent its own machine. Nothing here decides; callers say in every
// transaction what must still be true.
package store
