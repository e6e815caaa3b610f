// Package mtls decides who may talk to whom: the certificates of daemons and administrators, and the TLS settings of both sides of a
// connection.
//
// Everything is TLS 1.3 with certificates on both sides, and etcd is the root of trust. A daemon has a self-signed
// certificate whose fingerprint it publishes in etcd beside its address. A client takes no other certificate from that
// address (ClientConfig). A server takes callers whose fingerprint stands in etcd, and holders of a certificate of
// one minute's life made from the cluster's signing key, which only administrators and controllers can read
// (MintClient). Nothing else lets anybody in: no passwords, no bearer tokens, no names.
//
// The package reads no store: Pins is where a server's owner tells what stands there. Package pki makes the self-signed
// certificates, and those of an embedded etcd, which trusts by an authority instead.
package mtls
