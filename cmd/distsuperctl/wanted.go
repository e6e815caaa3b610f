package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// wanted opens the store and reads which programs the configuration asks for now. A distsuperd solo reads its own file, since
// %(ENV_x)s is its environment; elsewhere the file is the one that distsuperctl was given. A file that is refused is a
// *refusedError.
func (c *ctl) wanted(cmd *cobra.Command, strict bool) ([]api.Program, error) {
	if err := c.settings(cmd); err != nil {
		return nil, err
	}
	if err := c.open(cmd); err != nil {
		return nil, err
	}
	if !c.solo {
		return readPrograms(c, strict)
	}
	p, err := c.daemon(cmd.Context(), daemonOptions{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	read, err := p.DaemonPrograms(cmd.Context())
	if said := new(rpc.Error); errors.As(err, &said) && said.Unwrap() == nil {
		return nil, refused(said) // its own word about the file
	}
	if err != nil {
		return nil, err
	}
	for _, w := range read.Warnings {
		c.warnf("warning: %s", w)
	}
	if strict && len(read.Warnings) > 0 {
		return nil, errStrict
	}
	return read.Programs, nil
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

// runsSolo reports whether the configuration leads to a distsuperd solo.
func (c *ctl) runsSolo() bool {
	if !c.cfg.UsesEmbedded() {
		return len(c.cfg.Etcd.Endpoints) == 1 && isSoloEndpoint(c.cfg.Etcd.Endpoints[0])
	}
	_, runs := config.SoloEndpoint(c.cfg.File)
	return runs
}
