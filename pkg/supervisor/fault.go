package supervisor

import "fmt"

// Fault is the code of an XML-RPC fault, and of the status in a list of results.
type Fault int

// The codes (supervisor: xmlrpc.py, Faults).
const (
	UnknownMethod        Fault = 1
	IncorrectParameters  Fault = 2
	BadArguments         Fault = 3
	SignatureUnsupported Fault = 4
	ShutdownState        Fault = 6
	BadName              Fault = 10
	BadSignal            Fault = 11
	NoFile               Fault = 20
	NotExecutable        Fault = 21
	Failed               Fault = 30
	AbnormalTermination  Fault = 40
	SpawnError           Fault = 50
	AlreadyStarted       Fault = 60
	NotRunning           Fault = 70
	Success              Fault = 80 // the status of a result, not a fault
	AlreadyAdded         Fault = 90
	StillRunning         Fault = 91
	CantReread           Fault = 92
)

// Faults lists every code, rising.
var Faults = []Fault{
	UnknownMethod, IncorrectParameters, BadArguments, SignatureUnsupported, ShutdownState, BadName,
	BadSignal, NoFile, NotExecutable, Failed, AbnormalTermination, SpawnError, AlreadyStarted,
	NotRunning, Success, AlreadyAdded, StillRunning, CantReread,
}

var faultNames = map[Fault]string{
	UnknownMethod: "UNKNOWN_METHOD", IncorrectParameters: "INCORRECT_PARAMETERS",
	BadArguments: "BAD_ARGUMENTS", SignatureUnsupported: "SIGNATURE_UNSUPPORTED",
	ShutdownState: "SHUTDOWN_STATE", BadName: "BAD_NAME", BadSignal: "BAD_SIGNAL",
	NoFile: "NO_FILE", NotExecutable: "NOT_EXECUTABLE", Failed: "FAILED",
	AbnormalTermination: "ABNORMAL_TERMINATION", SpawnError: "SPAWN_ERROR",
	AlreadyStarted: "ALREADY_STARTED", NotRunning: "NOT_RUNNING", Success: "SUCCESS",
	AlreadyAdded: "ALREADY_ADDED", StillRunning: "STILL_RUNNING", CantReread: "CANT_REREAD",
}

func (f Fault) String() string {
	if name, ok := faultNames[f]; ok {
		return name
	}
	return fmt.Sprintf("FAULT(%d)", int(f))
}

// Text is the fault string: the name, and the detail (mostly the name that was asked for) if any.
func (f Fault) Text(detail string) string {
	if detail == "" {
		return f.String()
	}
	return f.String() + ": " + detail
}
