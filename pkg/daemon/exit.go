package daemon

import "errors"

// Exit codes of distsuperd and distsuperagent.
const (
	ExitOK         = 0
	ExitFailed     = 1
	ExitUsage      = 2 // wrong flags or configuration: trying again changes nothing
	ExitNotRunning = 3 // status: no such daemon
)

// ExitError is an error with an exit code of its own.
type ExitError struct {
	Code int
	Err  error // nil says nothing: the code is the answer
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Usage marks err as the user's to mend before another try. It returns nil for a nil err.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return &ExitError{Code: ExitUsage, Err: err}
}

// Code is the exit code for what a command returned.
func Code(err error) int {
	var exit *ExitError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &exit):
		return exit.Code
	}
	return ExitFailed
}
