package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// What an outage is tried with.
const (
	outageWitnesses = 9
	outageBusy      = 3                // more, which compute and print all the time
	outageTimeout   = 5                // touch_timeout: the default
	shortOutage     = 24 * time.Second // where nobody says how long: twice as long as a promise, and some time
	promiseLasts    = 10 * time.Second
	settleLasts     = 15 * time.Second // [distsuperd] settle

	etcdHost, farHost = 0, 1 // on the wire
)

// outageFleet is three members of etcd on a host of their own, three controllers, and three machines, of which the last is on a host of its own.
type outageFleet struct {
	*stage
	*wire
	f     *fleet.Fleet
	etcd  *etcdproc.Cluster
	far   *cluster.Cluster // m3
	lasts time.Duration
	// addresses of the controllers.
	addresses map[string]string
}

// an outageAct is one outage and what else happens.
type outageAct struct {
	silent  bool // packets are dropped; else all members are killed
	leaders bool // the leading controller is killed before, meanwhile and afterwards
	cut     bool // m3 is cut off from everything meanwhile
}

func (a outageAct) String() string {
	text := "all of etcd is killed"
	if a.silent {
		text = "all packets to and from etcd are dropped"
	}
	if a.leaders {
		text += ", and controllers before, meanwhile and afterwards"
	}
	if a.cut {
		text += ", and a machine is cut off meanwhile"
	}
	return text
}

// outage takes all of etcd away, in four ways.
func outage(ctx context.Context, s *stage) error {
	o := &outageFleet{stage: s, lasts: cmp.Or(s.Away, shortOutage), addresses: map[string]string{}}
	defer o.close()
	if err := o.start(ctx); err != nil {
		return err
	}
	for _, a := range []outageAct{{}, {leaders: true}, {silent: true, leaders: true}, {silent: true, cut: true}} {
		if err := o.play(ctx, a); err != nil {
			return fmt.Errorf("%v: %w", a, err)
		}
	}
	return s.once(o.f)
}

func (o *outageFleet) start(ctx context.Context) (err error) {
	path, err := etcdPath()
	if err != nil {
		return err
	}
	if o.wire, err = newWire(ctx, 2); err != nil {
		return err
	}
	dir := filepath.Join(o.Dir, "etcd")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	home := etcdproc.Host{Address: o.address(etcdHost), Before: o.inside(etcdHost)}
	if o.etcd, err = etcdproc.New(etcdproc.Options{Path: path, Dir: dir, Hosts: []etcdproc.Host{home, home, home}}); err != nil {
		return err
	}
	if err := o.etcd.Await(ctx); err != nil {
		return err
	}
	home2 := filepath.Join(o.Dir, "fleet")
	if err := os.Mkdir(home2, 0o700); err != nil {
		return err
	}
	if o.f, err = fleet.Start(ctx, fleet.Options{Dir: home2, Bin: o.Bin, Witness: o.Witness, Endpoints: o.etcd.Endpoints()}); err != nil {
		return err
	}
	if err := o.daemons(ctx); err != nil {
		return err
	}
	if err := o.programs(ctx); err != nil {
		return err
	}
	return fleet.Until(ctx, patience, "every controller is a member", func() (bool, string) { // before, a restart makes it a new one
		text := o.f.Machines[0].Run(ctx, "distsuperctl", "controllers", "--json").Stdout
		return strings.Count(text, `"member": true`) == len(o.f.Controllers), text
	})
}

// daemons starts the controllers and the machines.
func (o *outageFleet) daemons(ctx context.Context) error {
	for i := range 3 {
		name := fmt.Sprintf("d%d", i+1)
		at, err := o.freePort() // where it is found again after a restart
		if err != nil {
			return err
		}
		d, err := o.f.Node(name, fmt.Sprintf("[distsuperd]\nid = %s\nhttp = %s\n", name, at))
		if err != nil {
			return err
		}
		o.addresses[name] = at
		o.f.Controllers = append(o.f.Controllers, d)
		if _, err := d.Must(ctx, "distsuperd", "start"); err != nil {
			return err
		}
	}
	bin := filepath.Join(o.Dir, "bin")
	if err := o.wire.programs(farHost, o.Bin, bin); err != nil {
		return err
	}
	o.far = cluster.New(filepath.Join(o.Dir, "fleet"), bin)
	o.far.Etcd = o.f.Etcd
	var group errgroup.Group
	for i := range 3 {
		of, at := o.f.Cluster, o.outside()
		if i == 2 {
			of, at = o.far, o.address(farHost)
		}
		m, err := of.Node(fmt.Sprintf("m%d", i+1), fmt.Sprintf("[distsuperagent]\nmachine = m%d\nhttp = %s:0\naddresses = %s\n", i+1, at, at))
		if err != nil {
			return err
		}
		o.f.Machines = append(o.f.Machines, m)
		group.Go(func() error {
			_, err := m.Must(ctx, "distsuperagent", "start")
			return err
		})
	}
	return group.Wait()
}

// programs makes those that are tried, which may run anywhere.
func (o *outageFleet) programs(ctx context.Context) error {
	for i := range outageWitnesses + outageBusy {
		p := o.f.Witness(fmt.Sprintf("p%d", i), "-beat", "10ms")
		if i >= outageWitnesses {
			p = client.Program(fmt.Sprintf("busy%d", i), `/bin/sh -c "while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i; sleep 0.1; done"`)
			p.Autostart = true
		}
		p.TouchTimeout = outageTimeout
		if _, err := o.f.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	return o.allRun(ctx)
}

func (o *outageFleet) allRun(ctx context.Context) error {
	return fleet.Until(ctx, patience, "all run", o.f.Where(ctx, outageWitnesses+outageBusy, fleet.Runs))
}

func (o *outageFleet) close() {
	if o.f != nil {
		o.f.Close()
	}
	if o.far != nil {
		o.far.Close()
	}
	if o.etcd != nil {
		o.etcd.Close()
	}
	if o.wire != nil {
		o.wire.close()
	}
}

// begin takes all of etcd away, and end gives it back.
func (o *outageFleet) begin(ctx context.Context, a outageAct) error {
	if a.silent {
		return o.drop(ctx, etcdHost)
	}
	for _, m := range o.etcd.Members {
		m.Signal(unix.SIGKILL) // all, before the first is waited for
	}
	for _, m := range o.etcd.Members {
		m.Kill()
	}
	return nil
}

func (o *outageFleet) end(ctx context.Context, a outageAct) error {
	if a.silent {
		return o.pass(ctx, etcdHost)
	}
	for _, m := range o.etcd.Members {
		if err := m.Run(); err != nil {
			return err
		}
	}
	return nil
}

// seen is what an act showed.
type seen struct {
	copies     map[string]string // of each process that runs: machine, token and pid
	restarted  map[string]string // what did not live through it, and how that was seen
	fenced     time.Duration     // from the cut to the last sign of what the machine ran
	cutOff     []string          // the processes of that machine
	elsewhere  time.Duration     // from etcd's return until all of them ran elsewhere
	controller time.Duration     // the longest absence of a controller that was killed
	writes     []int64           // in each second after the return
}

// running is which copy of each process runs.
func (o *outageFleet) running(ctx context.Context) (map[string]string, error) {
	snap, err := o.f.Client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	copies := map[string]string{}
	for _, p := range snap.Processes() {
		if p.Owner != nil && p.Status != nil {
			copies[p.Name] = fmt.Sprintf("%s, token %d, pid %d", p.Owner.Machine, p.Owner.Token, p.Status.PID)
		}
	}
	return copies, nil
}

// onFar reports whether a copy runs on the machine that may be cut off.
func onFar(copied string) bool { return strings.HasPrefix(copied, "m3,") }

// lastSigns is the last sign of life of the witnesses that lived at a time, of some of them.
func (o *outageFleet) lastSigns(since int64, which func(witness.Copy) bool) (last int64, err error) {
	copies, err := o.f.Copies()
	for _, c := range copies {
		if c.Start < since && c.Last >= since && which(c) {
			last = max(last, c.Last)
		}
	}
	return last, err
}
