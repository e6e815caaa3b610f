package api

// Fault is the fact behind a Reason: in a word, what is wrong with the last copy of a process. Programs branch on
// it, people read the reason. It is FaultNone when nothing is wrong, and when an earlier version wrote the status.
type Fault string

const (
	FaultNone          Fault = ""                   // nothing is wrong, or it is not known
	FaultNoFile        Fault = "no such file"       // the command is not there
	FaultNotExecutable Fault = "not executable"     // the command is a directory, or may not be run
	FaultSpawn         Fault = "spawn error"        // anything else that kept a copy from being started
	FaultMachine       Fault = "machine trouble"    // the machine lacks what every start needs: processes, descriptors, memory, room
	FaultQuickExit     Fault = "exited too quickly" // it ended within startsecs
	FaultExit          Fault = "bad exit code"      // it ended with a status that exitcodes does not name
	FaultSignal        Fault = "cannot signal"      // a signal that was to end it could not be sent
	FaultFenced        Fault = "fenced"             // the deadline of its lease came before a renewal
)
