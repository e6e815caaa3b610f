// Package forkexec starts programs as syscall.ForkExec does, at a cost that does not grow with the number of open
// descriptors.
//
// A fork copies the table of descriptors, and exec closes the copies one by one: with a thousand processes, of which
// the keeper holds five descriptors each, that is most of the cost of starting one more. Here the child is born
// sharing the table, and its first act is close_range with CLOSE_RANGE_UNSHARE, which gives it a table of its own that
// ends at the few low descriptors it needs.
//
// It shares its parent's memory until it execs, as with vfork, and has a stack of its own, so that the parent need not stand
// still meanwhile: an exec that hangs, of a file on a dead NFS server, would otherwise hang it and, at the next garbage
// collection, all its goroutines.
//
// This takes Linux 5.9 and, since the child begins in a little assembly, amd64 without the race detector, which would follow
// it there. Elsewhere New says why not, and syscall.ForkExec does the same work more slowly.
package forkexec
