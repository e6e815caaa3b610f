// Package web is distsuperd's HTTP: its health, and the way to agents that a caller cannot reach
// directly.
//
// Both are served on one port. Health answers anybody, over plain HTTP too. The way to an agent is
// for callers of package rpc only: mutual TLS, let in by the same rule as at the agent itself, to which
// the controller then speaks as itself and names the caller.
package web
