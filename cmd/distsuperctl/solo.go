package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
)

// soloDeployment is the deployment of one distsuperd solo, which has the store that answers at endpoint.
type soloDeployment struct {
	*ctl
	endpoint string
}

func (s *soloDeployment) storeConfig() (etcd.Config, error) {
	sc := s.configuredStore()
	sc.Endpoints = []string{s.endpoint}
	return sc, nil
}

func (s *soloDeployment) storeName() string { return "distsuperd solo" }
func (s *soloDeployment) usesOwnEtcd() bool { return false }
func (s *soloDeployment) ownEtcd() bool     { return false }

// explain says what the store's errors mean where nobody knows of an etcd.
func (s *soloDeployment) explain(_ context.Context, err error) error {
	if s.cfg == nil {
		return err
	}
	endpoint, runs := soloEndpoint(s.cfg)
	switch {
	case errors.Is(err, store.ErrBehind):
		return &exitError{code: exitGeneric, err: errors.New("distsuperd solo has restarted meanwhile with what its file says, and has forgotten what was asked of it before: " +
			"ask again")}
	case errors.Is(err, store.ErrUnavailable) && runs:
		return &exitError{code: exitUnreachable, err: fmt.Errorf("distsuperd solo runs %s and does not answer at %s: is it stopped (kill -CONT), or busy? "+
			"its log and \"ps\" tell more", s.cfg.File, endpoint)}
	}
	return err
}

// soloSlow is how long a process of a solo may be in one state: there nothing but the process can be slow.
const soloSlow = 5 * time.Second

// control does everything as supervisorctl does.
func (s *soloDeployment) control() control.Options {
	return control.Options{FirstTryTells: true, InOrder: true, SlowAfter: soloSlow,
		Listens: func(ctx context.Context) bool { return listens(ctx, s.endpoint) }}
}

func (s *soloDeployment) oneMachine() bool { return true }

// printFault prints supervisorctl's line to the letter; what else there is to say goes to stderr.
func (s *soloDeployment) printFault(name, fault, text string) {
	s.printf("%s: ERROR (%s)\n", name, fault)
	s.warnf("distsuperctl: %s: %s", name, text)
}

func (s *soloDeployment) programsToLoad(cmd *cobra.Command, strict bool) ([]api.Program, error) {
	if err := s.open(cmd); err != nil {
		return nil, err
	}
	return s.deployment.wanted(cmd.Context(), strict)
}

// wanted lets the daemon read its own file, since %(ENV_x)s is its environment.
func (s *soloDeployment) wanted(ctx context.Context, strict bool) ([]api.Program, error) {
	p, err := s.daemon(ctx, daemonOptions{})
	if err != nil {
		return nil, err
	}
	defer p.Close()
	read, err := p.DaemonPrograms(ctx)
	if said := new(rpc.Error); errors.As(err, &said) && said.Unwrap() == nil {
		return nil, refused(said) // its own word about the file
	}
	if err != nil {
		return nil, err
	}
	for _, w := range read.Warnings {
		s.warnf("warning: %s", w)
	}
	if strict && len(read.Warnings) > 0 {
		return nil, errStrict
	}
	return read.Programs, nil
}

func (s *soloDeployment) shutdown(ctx context.Context, o shutdownOptions) error {
	if o.fleet {
		return usage(errors.New("distsuperd solo runs this file, and is not a fleet; shutdown without --fleet stops it"))
	}
	p, err := s.daemon(ctx, daemonOptions{})
	if err != nil {
		return err
	}
	defer p.Close()
	d, err := p.Daemon(ctx)
	if err == nil {
		err = p.DaemonStop(ctx)
	}
	if err != nil {
		return err
	}
	if !o.noWait {
		ctx, cancel := o.bounded(ctx)
		defer cancel()
		if err := awaitEnd(ctx, p.HTTP, d.PID); err != nil {
			return fmt.Errorf("it was asked to stop, and still runs (pid %d): %w", d.PID, err)
		}
	}
	if s.json {
		return printJSON(s.out, map[string]any{"result": "shut down"})
	}
	s.printf("Shut down\n")
	return nil
}

func (s *soloDeployment) unanswered(_ *peer, err error) error { return err }

func (s *soloDeployment) restarted(rpc.Daemon, string) string { return "supervisord" }

// notStanding: it serves its store while it stops its processes, which may take long, and stands for no election.
func (s *soloDeployment) notStanding() error { return nil }

func (s *soloDeployment) gone(d rpc.Daemon) error {
	if ended(d.PID) {
		return fmt.Errorf("it has ended; its log says why (%s)", d.Log)
	}
	return nil
}
