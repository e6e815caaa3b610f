package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/trust"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/proxy"
	"github.com/distsuper/distsuper/test/starve"
)

// round is one that is being played, in namespaces of its own.
type round struct {
	o       Options
	plan    Plan
	journal *journal

	etcd      *etcdproc.Cluster
	clusters  []*cluster.Cluster
	hosts     []*host
	user      *user
	client    *client.Client
	sightings string
	load      *starve.Hogs
	proxies   []*proxy.Proxy // to each member of etcd
	tables    sync.Map       // the table of nft of each fault under way
	starts    sync.WaitGroup // of controllers, which take as long as etcd is away
}

// play plays a round below o.Dir and says what came of it.
func play(ctx context.Context, o Options) (res Result, err error) {
	r := &round{o: o, plan: o.plan(), sightings: filepath.Join(o.Dir, "sightings")}
	if r.journal, err = newJournal(filepath.Join(o.Dir, "journal")); err != nil {
		return res, err
	}
	defer r.close()
	if err := r.start(ctx); err != nil {
		return res, fmt.Errorf("start the fleet: %w", err)
	}
	defer func() { res.Load = r.load.Feed() }()
	if err := r.starve(); err != nil {
		return res, err
	}
	for i, b := range r.plan.Bursts {
		if err := r.burst(ctx, i, b); err != nil {
			return res, err
		}
	}
	r.journal.note(Note, "", "the round is over")
	return res, nil
}

func (r *round) start(ctx context.Context) error {
	if err := errors.Join(os.Mkdir(r.sightings, 0o700), makeNetwork(ctx)); err != nil {
		return err
	}
	path, err := exec.LookPath("etcd")
	if err != nil {
		return err
	}
	dir := filepath.Join(r.o.Dir, "etcd")
	var homes []etcdproc.Host
	for i := range Voters {
		homes = append(homes, etcdproc.Host{Address: address(i), Before: inside(hostName(i))})
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if r.etcd, err = etcdproc.New(etcdproc.Options{Path: path, Dir: dir, Hosts: homes}); err != nil {
		return err
	}
	if err := r.etcd.Await(ctx); err != nil {
		return err
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	slow, err := r.makeProxies()
	if err != nil {
		return err
	}
	for i := range Hosts {
		endpoints := r.etcd.Endpoints()
		if r.plan.Hosts[i].Proxied {
			endpoints = slow
		}
		if err := r.addHost(i, endpoints); err != nil {
			return err
		}
	}
	if err := r.recover(ctx); err != nil {
		return err
	}
	if r.user, err = newUser(ctx, r); err != nil {
		return err
	}
	if err := r.allMembers(ctx); err != nil {
		return err
	}
	return r.allRun(ctx)
}

// allMembers waits until every distsuperd is a member: one that is none yet, and is restarted, is new to the machines.
func (r *round) allMembers(ctx context.Context) error {
	return fleet.Until(ctx, patience, "every distsuperd is a member", func() (bool, string) {
		set, err := trust.ReadRegistered(ctx, r.client.KV(), r.client.Keys())
		if err != nil {
			return false, err.Error()
		}
		members := 0
		for _, e := range set.Entries {
			if d, err := store.Decode[api.Controller](e); err == nil && d.Member {
				members++
			}
		}
		return members == Voters, fmt.Sprintf("%d are", members)
	})
}

// open makes the key space, and a client that no fault reaches.
func (r *round) open(ctx context.Context) error {
	kv, err := etcd.Open(ctx, etcd.Config{Endpoints: r.etcd.Endpoints()})
	if err != nil {
		return err
	}
	keys := store.NewKeys("")
	if _, err := store.Init(ctx, kv, keys, "chaos"); err != nil {
		return errors.Join(err, kv.Close())
	}
	r.client = client.New(kv, keys, "chaos")
	return nil
}

// starve takes the processor away, as far as others do not do so anyhow.
func (r *round) starve() (err error) {
	hogs := 0
	if r.plan.Starved {
		hogs = r.o.Hogs
	}
	r.load, err = starve.Release(r.o.Dir, hogs, 0)
	return err
}

// burst has everything of one go wrong, waits until it is over, and until all runs again.
func (r *round) burst(ctx context.Context, n int, b Burst) error {
	single, at := "", ""
	if len(b.Faults) == 1 && len(b.Commands) == 0 {
		single, at = b.Faults[0].Kind, hostName(b.Faults[0].Host)
	}
	r.journal.note(BurstBegins, at, "%s", single)
	var group sync.WaitGroup
	for _, f := range b.Faults {
		group.Go(func() { r.befall(ctx, f) })
	}
	for _, c := range b.Commands {
		group.Go(func() {
			pause(ctx, c.After)
			r.user.give(ctx, c)
		})
	}
	group.Wait()
	if err := r.recover(ctx); err != nil {
		return err
	}
	r.user.insist(ctx)
	r.journal.note(BurstEnds, "", "")
	if err := r.allRun(ctx); err != nil {
		return err
	}
	r.o.say("burst %d of %d: %s", n+1, len(r.plan.Bursts), describe(b))
	pause(ctx, b.Quiet)
	return ctx.Err()
}

func describe(b Burst) string {
	var words []string
	for _, f := range b.Faults {
		words = append(words, f.String())
	}
	for _, c := range b.Commands {
		words = append(words, c.What)
	}
	return strings.Join(words, ", ")
}

// befall has one fault begin and end.
func (r *round) befall(ctx context.Context, f Fault) {
	pause(ctx, f.After)
	k, h := kinds[f.Kind], hostName(f.Host)
	if k.family == outages {
		h = "" // no single one
	}
	r.journal.note(FaultBegins, h, "%v", f)
	if err := k.begin(ctx, r, f); err != nil {
		r.journal.note(Note, h, "%s could not begin: %v", f.Kind, err)
	}
	pause(ctx, f.Lasts)
	if k.end != nil {
		if err := k.end(ctx, r, f); err != nil {
			r.journal.note(Note, h, "%s could not end: %v", f.Kind, err)
		}
	}
	r.journal.note(FaultEnds, h, "%s", f.Kind)
}

// recover has all daemons of all hosts run.
func (r *round) recover(ctx context.Context) error {
	var err error
	for try := range 4 {
		var group sync.WaitGroup
		failed := make([]error, len(r.hosts))
		for i, h := range r.hosts {
			group.Go(func() { failed[i] = h.whole(ctx) })
		}
		group.Wait()
		if err = errors.Join(failed...); err == nil || ctx.Err() != nil {
			return err
		}
		r.journal.note(Note, "", "try %d: not all daemons start: %v", try+1, err)
	}
	return fmt.Errorf("not all daemons start: %w", err)
}

// patience is how long a round waits for what has to come.
const patience = 3 * time.Minute

// allRun waits until all runs that should. What takes longer than the bound is found by the judge; only what never comes fails here.
func (r *round) allRun(ctx context.Context) error {
	return fleet.Until(ctx, patience, "all run that should", func() (bool, string) {
		snap, err := r.client.Snapshot(ctx)
		if err != nil {
			return false, err.Error()
		}
		for _, m := range r.hosts {
			if seen := snap.Machine(m.name); seen == nil || seen.Alive == nil {
				return false, m.name + " is not live"
			}
		}
		for _, id := range r.user.wants() {
			p := snap.Process(id)
			if p == nil {
				return false, id + " is unknown"
			} else if !fleet.Runs(*p) {
				return false, fleet.Describe(*p)
			}
		}
		return true, ""
	})
}

// close ends everything, and saves the hosts' disks, which end with the round's namespaces.
func (r *round) close() {
	for _, h := range r.hosts {
		state := filepath.Join(h.node.Dir, ".distsuper")
		_ = exec.Command("cp", "-a", state, filepath.Join(h.node.Dir, "state")).Run() // for whoever looks into a failure
	}
	for _, c := range r.clusters {
		c.Close()
	}
	r.starts.Wait()
	if r.etcd != nil {
		r.etcd.Close()
	}
	_ = r.journal.close() // a journal that is not whole is not judged
}

// pause waits, as the plan has it.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
