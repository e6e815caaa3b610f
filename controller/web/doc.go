// Package web is distsuperd's HTTP: its health, what it says of itself as a daemon and obeys, and the
// way to agents that a caller cannot reach directly.
//
// All are served on one port. Health answers anybody, over plain HTTP too. The rest is for callers of
// package rpc only: mutual TLS, let in by the same rule as at an agent, to which the controller
// then speaks as itself and names the caller.
package web
