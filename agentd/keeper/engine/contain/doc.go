// Package contain holds what each run of a process starts, so that all of it can be killed and counted: by the keeper, by
// the keeper's guardian after its death, and by the next keeper.
//
// A run has a Cage, of one of two kinds: a cgroup of its own where cgroup v2 lets us (Cgroups), else what is found among
// the keeper's descendants, whose subreaper the keeper is (Trees). The rest of the keeper sees the two interfaces only.
//
// Every process carries the Mark of its run in its environment. The state directory's file (StateFile) says which keepers
// ran and what was left alone, and KillLeftovers kills by both what an earlier keeper left behind.
package contain
