// Package web is the agent's HTTPS: what distsuperctl and the controllers ask a machine directly,
// instead of through etcd - its processes, their logs, signals and standard input, how it is, and its end.
//
// It decides nothing and stores nothing. Who may call is settled in the TLS handshake (package
// rpc) before a request is read; then the keeper answers.
package web
