// Package api holds the nouns of distsuper: programs, processes, intents,
// placements, owners, touches, statuses and machines, as they stand in the store.
//
// What is written to etcd is one-line JSON under the key that its type's comment
// names, with what is embedded in it, so field names are for ever: they are read with
// etcdctl, by scripts, and by daemons of other versions. The package imports the standard
// library only and does no I/O.
package api
