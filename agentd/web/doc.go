// Package web is the agent's HTTPS: what distsuperctl and the controllers ask a machine directly,
// instead of through etcd - its processes, their logs, signals and standard input, how it is, and its end.
//
// It decides nothing and stores nothing. The TLS handshake (package mtls) settles who may call before a request
// is read; then the keeper answers.
package web
