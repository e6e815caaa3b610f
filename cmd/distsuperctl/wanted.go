package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
)

// readWanted opens the store and reads which programs the configuration asks for as it stands at this moment. A file that is refused is a *refusedError.
func (c *ctl) readWanted(cmd *cobra.Command) ([]api.Program, error) {
	if err := c.settings(cmd); err != nil {
		return nil, err
	}
	if err := c.open(cmd); err != nil {
		return nil, err
	}
	return c.deployment.wanted(cmd.Context(), false)
}

// errStrict says that there were warnings.
var errStrict = usage(errors.New("--strict: nothing was done, because of the warnings above"))

// refusedError says that a configuration cannot be used, and why.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "nothing was done:\n" + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

func refused(err error) error { return usage(&refusedError{err}) }

// cantReread says on stdout what supervisorctl says of a file that is refused; of other errors nothing.
func (c *ctl) cantReread(err error) error {
	var no *refusedError
	if !errors.As(err, &no) {
		return err
	}
	return c.failure("ERROR: CANT_REREAD: %s", strings.TrimSpace(no.err.Error()))
}

// source is whose programs reread, update and load are about.
func (c *ctl) source() string { return c.cfg.Ctl.Source }
