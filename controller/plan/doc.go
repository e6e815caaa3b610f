// Package plan decides which process runs on which machine.
//
// It is pure: Plan takes the View (everything below the prefix, in memory), what the leader has asked and been
// answered, and the time, and returns for each process an action with its reason, a question,
// or what it waits for. The same view gives the same plan. It does no I/O and knows no
// keys; package controller turns an Action into a transaction whose compares are the Action's
// conditions, so that an action planned on a view that is out of date changes nothing.
//
// The rules are those that hold everywhere: a process has at most one placement, and is
// placed anew only when its last run is known to be dead (free.go says how that is known).
package plan
