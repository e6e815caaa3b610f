// Package fleet makes whole fleets out of package cluster for the end-to-end tests and the measurements: etcd,
// controllers and machines that are up, a client of the Go API, and programs that testify.
//
// It judges nothing. Its waiting is for a condition, with a deadline, and says what was seen instead.
package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/witness"
)

// Options say what a fleet is made of.
type Options struct {
	// Dir is an empty folder, Bin the folder of the three binaries. Witness is the file of the fourth, "witness" in
	// Bin when it is empty.
	Dir, Bin, Witness string
	// Controllers are named d1, d2 ..., Machines m1, m2 ...
	Controllers, Machines int
	// Endpoints of an etcd that is there; none: d1 runs an embedded one.
	Endpoints []string
	// Members: each controller has a member of one embedded etcd.
	Members bool
	// ControllerLines and MachineLines are added to each one's section.
	ControllerLines, MachineLines []string
	// Env is added to the environment of everything, as NAME=value.
	Env []string
	// Owner gets the nodes' folders, unless it is 0.
	Owner int
}

// Fleet is a running fleet.
type Fleet struct {
	*cluster.Cluster
	Controllers []*cluster.Node
	Machines    []*cluster.Node
	// Endpoints at which etcd answers.
	Endpoints []string
	// Sightings is the folder of the witnesses' files.
	Sightings string
	Client    *client.Client

	witness string
	owner   int
	store   etcd.Config
}

// Start makes a fleet, and leaves nothing running when it fails.
func Start(ctx context.Context, o Options) (*Fleet, error) {
	f := &Fleet{Cluster: cluster.New(o.Dir, o.Bin), Endpoints: o.Endpoints, Sightings: filepath.Join(o.Dir, "sightings"),
		witness: cmp.Or(o.Witness, filepath.Join(o.Bin, "witness")), owner: o.Owner}
	f.Env = o.Env
	// The witnesses of a fleet whose user is not ours write there, too.
	if err := errors.Join(os.Mkdir(f.Sightings, 0o700), os.Chmod(f.Sightings, 0o777)); err != nil {
		return nil, err
	}
	if err := f.start(ctx, o); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (f *Fleet) start(ctx context.Context, o Options) (err error) {
	if len(o.Endpoints) > 0 {
		if err := f.initStore(ctx); err != nil {
			return err
		}
	}
	f.store = etcd.Config{Endpoints: f.Endpoints}
	if o.Members {
		if err := f.addMembers(ctx, o.Controllers, o.ControllerLines); err != nil {
			return err
		}
		o.Controllers = 0
	}
	for i := range o.Controllers {
		if err := f.addController(ctx, fmt.Sprintf("d%d", i+1), o.ControllerLines); err != nil {
			return err
		}
	}
	if err := f.AddMachines(ctx, o.Machines, o.MachineLines...); err != nil {
		return err
	}
	f.Client, err = client.Open(ctx, client.Config{Store: f.store})
	return err
}

// initStore makes the key space of an etcd that is not ours.
func (f *Fleet) initStore(ctx context.Context) error {
	f.Etcd = "[etcd]\nendpoints = " + strings.Join(f.Endpoints, ", ")
	kv, err := etcd.Open(ctx, etcd.Config{Endpoints: f.Endpoints})
	if err != nil {
		return err
	}
	defer kv.Close()
	_, err = store.Init(ctx, kv, store.NewKeys(""), "fleet")
	return err
}

func (f *Fleet) addController(ctx context.Context, name string, lines []string) error {
	n, err := f.Controller(name, lines...)
	if err != nil {
		return err
	}
	f.Controllers = append(f.Controllers, n)
	if err := f.give(n); err != nil {
		return err
	}
	if _, err := n.Must(ctx, "distsuperd", "start"); err != nil {
		return err
	}
	if len(f.Endpoints) > 0 {
		return nil
	}
	s, err := Health(ctx, n)
	if err != nil {
		return err
	}
	f.Endpoints = []string{s.Embedded.Endpoint}
	f.store.Endpoints = f.Endpoints
	f.Etcd = "[etcd]\nendpoints = " + s.Embedded.Endpoint
	return nil
}

// addMembers starts controllers that have an etcd together, and waits until all of them vote.
func (f *Fleet) addMembers(ctx context.Context, n int, lines []string) error {
	for i := range n {
		var first *cluster.Node
		if i > 0 {
			first = f.Controllers[0]
		}
		d, err := f.Member(ctx, first, fmt.Sprintf("d%d", i+1), lines...)
		if err != nil {
			return err
		}
		f.Controllers = append(f.Controllers, d)
		if _, err := d.Must(ctx, "distsuperd", "start"); err != nil {
			return err
		}
	}
	first := f.Controllers[0]
	if err := Until(ctx, 30*time.Second, "every member votes", func() (bool, string) { return f.Vote(ctx, first, n) }); err != nil {
		return err
	}
	var reach embedded.Reach
	err := Until(ctx, 10*time.Second, "the first knows all", func() (ok bool, seen string) {
		var err error
		reach, err = embedded.ReachOf(first.State(""), nil)
		return len(reach.Endpoints) == n, fmt.Sprintf("%v, %v", reach.Endpoints, err)
	})
	if err != nil {
		return err
	}
	f.store = etcd.Config{Endpoints: reach.Endpoints, CA: reach.CA, Cert: reach.Cert, Key: reach.Key, Follow: true}
	f.Endpoints = reach.Endpoints
	f.Etcd, err = first.JoinText(ctx)
	return err
}

// Vote reports whether n members of the controllers' etcd vote and answer, and all others, too, as a node sees it.
func (f *Fleet) Vote(ctx context.Context, from *cluster.Node, n int) (bool, string) {
	r := from.Run(ctx, "distsuperctl", "members", "--json")
	var list []struct {
		Role    string
		Answers bool
	}
	if err := json.Unmarshal([]byte(r.Stdout), &list); r.Code != 0 || err != nil {
		return false, r.Stdout + r.Stderr
	}
	votes := 0
	for _, m := range list {
		if m.Role != "learner" && m.Answers {
			votes++
		}
	}
	return votes == n && len(list) == n, r.Stdout
}

// give makes a node's folder its user's.
func (f *Fleet) give(n *cluster.Node) error {
	if f.owner == 0 {
		return nil
	}
	return errors.Join(os.Chown(n.Dir, f.owner, f.owner), os.Chown(filepath.Join(n.Dir, "distsuper.ini"), f.owner, f.owner))
}

// AddMachines starts n more machines, at once.
func (f *Fleet) AddMachines(ctx context.Context, n int, lines ...string) error {
	var group errgroup.Group
	for range n {
		m, err := f.Machine(fmt.Sprintf("m%d", len(f.Machines)+1), lines...)
		if err != nil {
			return err
		}
		f.Machines = append(f.Machines, m)
		if err := f.give(m); err != nil {
			return err
		}
		group.Go(func() error {
			_, err := m.Must(ctx, "distsuperagent", "start")
			return err
		})
	}
	return group.Wait()
}

// Close ends everything.
func (f *Fleet) Close() {
	if f.Client != nil {
		_ = f.Client.Close() // nothing is written any more
	}
	f.Cluster.Close()
}

// Status is what `distsuperd status --json` says.
type Status struct {
	Running  bool
	Daemon   struct{ PID int }
	Health   struct{ Leader bool }
	Embedded struct {
		Running  bool
		Endpoint string
	} `json:"embedded_etcd"`
}

// Health asks a controller's node how it is. One that does not run is no error.
func Health(ctx context.Context, n *cluster.Node) (Status, error) {
	var s Status
	r := n.Run(ctx, "distsuperd", "status", "--json")
	if r.Code != 0 && r.Code != 3 {
		return s, fmt.Errorf("%s: distsuperd status: exit %d: %s", n.Name, r.Code, r.Stderr)
	}
	return s, json.Unmarshal([]byte(r.Stdout), &s)
}

// Leader is the controller that leads, nil while none says so.
func (f *Fleet) Leader(ctx context.Context) *cluster.Node {
	for _, n := range f.Controllers {
		if s, err := Health(ctx, n); err == nil && s.Running && s.Health.Leader {
			return n
		}
	}
	return nil
}

// Witness is a program that testifies; flags are the witness's. It may run anywhere, with the shortest touch_timeout.
func (f *Fleet) Witness(name string, flags ...string) api.Program {
	words := append(append([]string{f.witness}, flags...), f.Sightings)
	p := client.Program(name, strings.Join(words, " "))
	p.TouchTimeout, p.Autostart = 2, true
	return p
}

// Copies are all testimonies so far.
func (f *Fleet) Copies() ([]witness.Copy, error) { return witness.Read(f.Sightings) }

// Until asks look again and again until it is satisfied or within has passed; the error says what was seen last.
func Until(ctx context.Context, within time.Duration, what string, look func() (ok bool, seen string)) error {
	deadline := time.Now().Add(within)
	for {
		ok, seen := look()
		if ok {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("not within %v: %s; seen instead: %s", within, what, seen)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at other processes' work
	}
}

// Where sees the processes of one look: it is satisfied when ok is true of each of n processes.
func (f *Fleet) Where(ctx context.Context, n int, ok func(client.Process) bool) func() (bool, string) {
	return func() (bool, string) {
		snap, err := f.Client.Snapshot(ctx)
		if err != nil {
			return false, err.Error()
		}
		var not []string
		for _, p := range snap.Processes() {
			if !ok(p) {
				not = append(not, Describe(p))
			}
		}
		if len(not) > 8 {
			not = append(not[:8], "...")
		}
		seen := fmt.Sprintf("%d processes, not so: %s", len(snap.Processes()), strings.Join(not, "; "))
		return len(snap.Processes()) == n && len(not) == 0, seen
	}
}

// Describe is one line about a process.
func Describe(p client.Process) string {
	where := "nowhere"
	if p.Owner != nil {
		where = fmt.Sprintf("%s token %d", p.Owner.Machine, p.Owner.Token)
	}
	return fmt.Sprintf("%s %v on %s (%s)", p.Name, p.State, where, p.Text)
}

// Runs reports that a process runs on a machine that is live.
func Runs(p client.Process) bool { return p.State == api.Running && p.Live && p.Touch != nil }
