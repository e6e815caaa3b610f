// Package mode says whether a machine is one of a fleet or alone.
//
// It is one word for what is right only together. Every component that behaves differently on a machine that is alone (distsuperd solo)
// takes a Mode, and agentd/solo, the only package that says Alone, gives it to all of them:
//
//	store/memstore          no lease ends but by Revoke: whoever holds one is in the same process
//	controller              is the only candidate: it renews its lease rarely, waits for no machine at its start, and paces nothing
//	agentd                  takes every program, whatever machines it names; renews rarely, and calls its keeper without bounds
//	agentd/lease            nobody has to show life for leases to be renewed
//	agentd/keeper/core      counts no deadline, and leaves children of expected exits running
//	agentd/keeper/engine    leaves TERM and INT to the program
package mode

import "time"

// Mode is Fleet or Alone.
type Mode uint8

// The zero Mode is Fleet: where nobody says anything, leases end and deadlines count.
const (
	// Fleet: other machines may take over, so what runs here must have ended before its lease expires.
	Fleet Mode = iota
	// Alone: there is no other machine, and store, controller, agent and keeper are in one process, so nothing expires.
	Alone
)

// String is the word for people.
func (m Mode) String() string {
	if m == Alone {
		return "alone"
	}
	return "fleet"
}

// RestInterval is how often a machine that is alone does what a fleet's does every second or so for leases: an idle machine is
// to rest.
const RestInterval = time.Minute
