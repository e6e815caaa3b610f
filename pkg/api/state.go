package api

import "fmt"

// State is the state of a process, with supervisor's names and codes
// (supervisor: states.py, ProcessStates).
type State int

// The states: of a process that is not wanted, of one that is being started, that runs, that waits to be started again,
// that is being stopped, that ended by itself, that could not be started, and of one of which nobody knows.
const (
	Stopped  State = 0
	Starting State = 10
	Running  State = 20
	Backoff  State = 30
	Stopping State = 40
	Exited   State = 100
	Fatal    State = 200
	Unknown  State = 1000
)

// States lists every state in the order of its code.
var States = []State{Stopped, Starting, Running, Backoff, Stopping, Exited, Fatal, Unknown}

var stateNames = map[State]string{
	Stopped: "STOPPED", Starting: "STARTING", Running: "RUNNING", Backoff: "BACKOFF",
	Stopping: "STOPPING", Exited: "EXITED", Fatal: "FATAL", Unknown: "UNKNOWN",
}

func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("STATE(%d)", int(s))
}

// ParseState is the inverse of String for the eight states.
func ParseState(name string) (State, error) {
	for _, s := range States {
		if stateNames[s] == name {
			return s, nil
		}
	}
	return Unknown, fmt.Errorf("unknown process state %q", name)
}

// MarshalText writes the name: values in etcd are made to be read.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts what MarshalText writes.
func (s *State) UnmarshalText(text []byte) error {
	state, err := ParseState(string(text))
	if err != nil {
		return err
	}
	*s = state
	return nil
}

// IsRunning reports whether the state is in supervisor's set "running":
// a start of it answers ALREADY_STARTED.
func (s State) IsRunning() bool { return s == Running || s == Backoff || s == Starting }

// IsStopped reports whether the state is in supervisor's set "stopped":
// a stop of it answers NOT_RUNNING.
func (s State) IsStopped() bool {
	return s == Stopped || s == Exited || s == Fatal || s == Unknown
}

// IsSignallable reports whether a signal may be sent in this state.
func (s State) IsSignallable() bool { return s == Running || s == Starting || s == Stopping }
