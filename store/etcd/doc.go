// Package etcd is the store of an etcd cluster: it implements store.KV on etcd's own client.
//
// Open makes a store of endpoints and settings, Connect one that has answered, and Unreachable tells a user why none
// did. What etcd's client does not promise is added here: writes are sent once, a login is kept, a watch that went
// silent ends, leases are renewed on raw streams, and an election notices the loss of its session.
//
// No other package imports etcd's client or gRPC, except store/etcdapi, which serves etcd's API.
package etcd
