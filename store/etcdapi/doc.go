// Package etcdapi serves a store over the etcd v3 gRPC API to whomever its listener lets in, so that whoever speaks to etcd
// (etcd.Open, etcdctl get, put, del and watch) speaks to it unchanged. distsuperd solo serves its store in memory so.
//
// It serves a store.KV, and so no more than that can do: of compares and ranges those that etcd.Open, the election
// of etcd's client and etcdctl send. What it cannot do is refused with Unimplemented, never done by half. There is one
// member, which leads for ever.
package etcdapi
