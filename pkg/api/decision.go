package api

// WaitingFor is the fact behind an owner's Waiting: what keeps a process that is to run from being placed or moved.
type WaitingFor string

const (
	WaitingForNothing WaitingFor = ""             // it waits for nothing
	WaitingForMachine WaitingFor = "machine"      // no machine may take it
	WaitingForTurn    WaitingFor = "turn"         // others are started first
	WaitingForAgent   WaitingFor = "agent"        // its touch was deleted by hand; the agent puts it back
	WaitingForLastRun WaitingFor = "last run"     // its machine has lost etcd and says that the run goes on
	WaitingForExpiry  WaitingFor = "expiry"       // its lease ended, perhaps early, as etcd has had another leader
	WaitingForPromise WaitingFor = "promise"      // its machine may go on with the last run, by promise of the controllers
	WaitingForProof   WaitingFor = "confirm-dead" // nobody but an operator knows that the last run is dead
)

// MoveRefused is the fact behind the Reason of an owner that did not follow a move.
type MoveRefused string

const (
	MoveNotRefused     MoveRefused = ""                // it followed, or nobody asked
	MoveFinished       MoveRefused = "finished"        // it ended by itself and is not started again
	MoveAlreadyThere   MoveRefused = "already there"   // it is on that machine
	MoveUnknownMachine MoveRefused = "unknown machine" // no machine of that name is known
	MoveNoMachine      MoveRefused = "no machine"      // no machine that was asked for may take it
)
