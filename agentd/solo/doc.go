// Package solo is the agent of a machine that is alone: with its controller, its keeper and a store of its own in one process. It is what
// `distsuperd solo` runs, in place of supervisord and with supervisord's signals, log and exit codes. The same
// configuration file can later serve a fleet.
//
// New makes everything and Run is its life. Nothing is kept on disk but logs and the pid file. Its runtime directory, below /run or
// /tmp, has two sockets for its own user (that of the store, where distsuperctl finds it, and that of the agent), a lock, and what the next
// daemon must know to end what a killed one left behind.
//
// This is the one package in which an agent and a controller meet other than in etcd: only here are they in the same process. That they
// are alone is said once, in components.go, which makes the options of all of them.
package solo
