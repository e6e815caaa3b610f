// Package embedded runs etcd as a child process of distsuperd, for users who bring none.
//
// The child is a session of its own: it outlives restarts, upgrades and kill -9 of the distsuperd that
// started it, and the next one adopts it. A lock on its pid file says whether it runs; nothing else is
// believed. It listens for clients on a unix socket in a private directory and, with Config.Listen,
// also on TCP with mutual TLS, whose certificates it makes itself (see Join).
//
// This package starts, watches and stops the child and tells how to reach it, and is cheap to import. What runs
// inside the child is package server, which alone imports the etcd server and doubles a binary.
package embedded
