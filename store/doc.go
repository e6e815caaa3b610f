// Package store is what distsuper keeps in etcd, and the port through which it is reached.
//
// KV is what we need of etcd: linearizable reads, transactions, watches, leases, and an election. Package store/etcd
// implements it on etcd's client, package store/memstore in memory, and package store/storetest holds both to the same
// behaviour. Keys builds and parses every key. Follow hands on what stands in a range of keys, and every change of it; package
// store/view makes of that what there is.
//
// Around these: History tells what happened in the transaction of the change itself, and Init, CheckSchema and Drop make,
// check and remove a key space. Package store/seen refuses a store that went back, and store/keepalive renews leases.
//
// One kind of writer a subtree: ctl and the API write programs and intents, the leader placements and owners, each
// agent its own machine. Nothing here decides; callers say in every transaction what must still be true.
package store
