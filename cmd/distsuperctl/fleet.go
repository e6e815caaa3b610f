package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
)

// fleetDeployment is the deployment of controllers, agents and an etcd.
type fleetDeployment struct{ *ctl }

// storeConfig is the etcd as configured, else distsuperd's own on this host.
func (f *fleetDeployment) storeConfig() (etcd.Config, error) {
	sc := f.configuredStore()
	if !f.cfg.UsesEmbedded() {
		if sc.Follow = embedded.Ours(sc.CA); sc.Follow {
			sc.Endpoints = f.learned(sc.Endpoints)
		}
		return sc, nil
	}
	if _, supervisors := f.cfg.Ini.Section("supervisord"); supervisors && !hasEtcd(f.cfg) {
		return sc, nobodyRuns(f.cfg.File)
	}
	reach, err := embedded.ReachOf(f.cfg.Controller.StateDir, f.cfg.Embedded.Peers)
	if err != nil {
		return sc, usage(err)
	}
	sc.Endpoints, sc.CA, sc.Cert, sc.Key, sc.Follow = reach.Endpoints, reach.CA, reach.Cert, reach.Key, true
	return sc, nil
}

// learned are the endpoints of distsuperd's own etcd: where its members were last, as an agent on this host or the address book knows,
// and those configured, which may be of former times.
func (f *fleetDeployment) learned(configured []string) []string {
	out := embedded.Learned(f.cfg.Agent.StateDir, nil)
	book, _ := readBook(f.bookPath()) // without one there is less to go by
	for _, e := range slices.Concat(book.Endpoints, configured) {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

func (f *fleetDeployment) storeName() string { return "etcd" }
func (f *fleetDeployment) usesOwnEtcd() bool { return f.cfg.UsesEmbedded() }

// ownEtcd reports whether some distsuperd of the fleet runs its etcd, be it on this host or not.
func (f *fleetDeployment) ownEtcd() bool {
	return f.cfg != nil && (f.cfg.UsesEmbedded() || embedded.Ours(f.cfg.Etcd.CA))
}

// explain says of an etcd that is full what it still does, and of one that stopped answering in the middle which endpoints were
// tried.
func (f *fleetDeployment) explain(ctx context.Context, err error) error {
	if errors.Is(err, store.ErrNoSpace) {
		return fmt.Errorf("%s (%w)", store.Full, err)
	}
	if !errors.Is(err, store.ErrUnavailable) || f.cfg == nil {
		return err
	}
	if sc, cerr := f.storeConfig(); cerr == nil && f.kv != nil {
		err = etcd.Unreachable(ctx, sc, err)
	}
	if lost := f.lostMajority(ctx); lost != "" {
		err = fmt.Errorf("%w; %s", err, lost)
	}
	if full := embedded.DiskTrouble(f.cfg.Controller.StateDir); f.usesOwnEtcd() && full != "" {
		err = fmt.Errorf("%w; %s", err, full)
	}
	if hint := f.hintMachines(); hint != "" {
		err = fmt.Errorf("%w%s", err, hint)
	}
	return err
}

func (f *fleetDeployment) control() control.Options { return control.Options{} }
func (f *fleetDeployment) oneMachine() bool         { return false }

func (f *fleetDeployment) printFault(name, fault, text string) {
	f.printf("%s: ERROR (%s): %s\n", name, fault, text)
}

// programsToLoad starts distsuperd's own etcd where there is to be one, but not for a file that is refused.
func (f *fleetDeployment) programsToLoad(cmd *cobra.Command, strict bool) ([]api.Program, error) {
	programs, err := readPrograms(f.ctl, strict)
	if err == nil {
		err = f.ensureEtcd(cmd)
	}
	if err == nil {
		err = f.open(cmd)
	}
	return programs, err
}

// wanted reads the file that distsuperctl was given.
func (f *fleetDeployment) wanted(_ context.Context, strict bool) ([]api.Program, error) {
	return readPrograms(f.ctl, strict)
}

func (f *fleetDeployment) shutdown(ctx context.Context, o shutdownOptions) error {
	if !o.fleet {
		return usage(errors.New("this would stop every process of the fleet; shutdown --fleet does it " +
			"(distsuperd stop and distsuperagent stop end single daemons, drain empties one machine)"))
	}
	return runShutdownFleet(ctx, f.ctl, o)
}

func (f *fleetDeployment) unanswered(p *peer, err error) error {
	if err == nil || answered(err) || errors.Is(err, rpc.ErrUnavailable) || errors.Is(err, context.Canceled) {
		return err
	}
	if !p.stands {
		return fmt.Errorf("controller %s does not answer (%w), and does not stand for election: it has ended; distsuperctl controllers shows those that run; "+
			"if it is gone for good, distsuperctl controllers forget %s takes it off that list", p.ID, err, p.ID)
	}
	return fmt.Errorf("controller %s does not answer (%w), though it has renewed its lease in etcd within the last seconds; if it has died just now, "+
		"another one leads soon: see distsuperctl controllers, or ask another with --controller", p.ID, err)
}

func (f *fleetDeployment) restarted(d rpc.Daemon, id string) string { return d.Program + " " + id }

func (f *fleetDeployment) notStanding() error {
	return errors.New("it does not stand for election any more; its log says why")
}

func (f *fleetDeployment) gone(rpc.Daemon) error { return nil }
