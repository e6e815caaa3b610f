// Package rpc is what daemons and distsuperctl say to one another over the network: the types, the client, and what a server
// answers with.
//
// Everything is HTTP/1.1 over the mutual TLS of package mtls, which says who may connect; whoever gets through may
// ask everything. Errors that a caller acts on keep their identity over the network (ErrNotFound and its like).
package rpc
