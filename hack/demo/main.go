// Demo runs a whole distsuper on this host: an embedded etcd, two controllers, three machines, each with a
// state directory of its own. It loads a handful of programs, kills one machine without warning, freezes the
// agent of another, shows where the processes went and how fast, and reads from the processes' own
// testimonies whether any of them ever ran twice at once. It cleans up, and exits 0 only if all of that held.
//
//	go run ./hack/demo -bin bin
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/witness"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == witness.Role {
		os.Exit(witness.Main(os.Args[2:]))
	}
	bin := flag.String("bin", "bin", "folder of the three binaries")
	keep := flag.Bool("keep", false, "leave the folder of the demo behind")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo: FAILED:", err)
		stop()
		os.Exit(1)
	}
	fmt.Println("\ndemo: all of that held.")
}

// demo is the running example.
type demo struct {
	*cluster.Cluster
	first     *cluster.Node
	machines  map[string]*cluster.Node
	sightings string
}

// touchTimeout of the demo's programs, in seconds.
const touchTimeout = 2

func run(ctx context.Context, bin string, keep bool) error {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "distsuper-demo-")
	if err != nil {
		return err
	}
	d := &demo{Cluster: cluster.New(dir, bin), machines: map[string]*cluster.Node{}, sightings: filepath.Join(dir, "sightings")}
	defer func() {
		d.Close()
		if keep {
			fmt.Println("left behind:", dir)
		} else if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, "demo: clean up:", err)
		}
	}()
	if err := os.Mkdir(d.sightings, 0o700); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.up, d.load, d.killMachine, d.freezeAgent, d.testimony} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf("\n# "+format+"\n", args...) }

// up starts two controllers and three machines.
func (d *demo) up(ctx context.Context) error {
	say("an embedded etcd, two controllers and three machines, each with its own state directory")
	var err error
	if d.first, err = d.Controller("d1"); err != nil {
		return err
	}
	out, err := d.first.Must(ctx, "distsuperd", "start")
	if err != nil {
		return err
	}
	fmt.Print(out)
	endpoint, err := d.endpoint(ctx)
	if err != nil {
		return err
	}
	d.Etcd = "[etcd]\nendpoints = " + endpoint
	second, err := d.Controller("d2")
	if err != nil {
		return err
	}
	if out, err = second.Must(ctx, "distsuperd", "start"); err != nil {
		return err
	}
	fmt.Print(out)
	for _, name := range []string{"m1", "m2", "m3"} {
		m, err := d.Machine(name)
		if err != nil {
			return err
		}
		if out, err = m.Must(ctx, "distsuperagent", "start"); err != nil {
			return err
		}
		fmt.Print(out)
		d.machines[name] = m
	}
	return nil
}

func (d *demo) endpoint(ctx context.Context) (string, error) {
	out, err := d.first.Must(ctx, "distsuperd", "status", "--json")
	if err != nil {
		return "", err
	}
	var s struct {
		Embedded struct{ Endpoint string } `json:"embedded_etcd"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return "", err
	}
	return s.Embedded.Endpoint, nil
}

// load writes the sample and waits until everything runs.
func (d *demo) load(ctx context.Context) error {
	say("a sample with a handful of programs")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	sample := fmt.Sprintf(`
[program:crawler]
command = %[1]s %[2]s
process_name = crawler-%%(process_num)d
numprocs = 3
touch_timeout = %[3]d

[program:payments]
command = %[1]s %[2]s
touch_timeout = %[3]d

[program:mailer]
command = %[1]s %[2]s
touch_timeout = %[3]d
`, self+" "+witness.Role, d.sightings, touchTimeout)
	ini := filepath.Join(d.first.Dir, "distsuper.ini")
	text, err := os.ReadFile(ini)
	if err != nil {
		return err
	}
	if err := os.WriteFile(ini, append(text, sample...), 0o600); err != nil {
		return err
	}
	if err := d.ctl(ctx, "load"); err != nil {
		return err
	}
	if err := d.ctl(ctx, "start", "all"); err != nil {
		return err
	}
	if err := d.ctl(ctx, "status"); err != nil {
		return err
	}
	return d.ctl(ctx, "machines")
}

// ctl runs distsuperctl and shows what it prints.
func (d *demo) ctl(ctx context.Context, args ...string) error {
	fmt.Println("$ distsuperctl", strings.Join(args, " "))
	out, err := d.first.Must(ctx, "distsuperctl", args...)
	fmt.Print(out)
	return err
}

// alive are the copies on a machine that gave a sign of life within the last moment.
func (d *demo) alive(machine string) ([]witness.Copy, error) {
	copies, err := witness.Read(d.sightings)
	if err != nil {
		return nil, err
	}
	var on []witness.Copy
	for _, c := range copies {
		if c.Machine == machine && !c.Ended && time.Duration(witness.Now()-c.Last) < 500*time.Millisecond {
			on = append(on, c)
		}
	}
	return on, nil
}

// loaded returns a live machine that runs something.
func (d *demo) loaded(not ...string) (string, []witness.Copy, error) {
	for _, name := range []string{"m1", "m2", "m3"} {
		if len(not) > 0 && name == not[0] {
			continue
		}
		on, err := d.alive(name)
		if err != nil || len(on) > 0 {
			return name, on, err
		}
	}
	return "", nil, errors.New("no machine runs anything")
}

// killMachine ends one machine without warning: agent, keeper, guardian and processes at once.
func (d *demo) killMachine(ctx context.Context) error {
	name, lost, err := d.loaded()
	if err != nil {
		return err
	}
	say("machine %s loses power: SIGKILL to its agent, keeper and %d processes at once", name, len(lost))
	began := witness.Now()
	d.machines[name].Kill()
	if err := d.replaced(ctx, lost, began); err != nil {
		return err
	}
	if err := d.ctl(ctx, "status"); err != nil {
		return err
	}
	say("%s comes back, empty", name)
	_, err = d.machines[name].Must(ctx, "distsuperagent", "start")
	return err
}

// freezeAgent stops an agent (SIGSTOP) while its keeper and processes live: its keeper must end them
// before they may start elsewhere.
func (d *demo) freezeAgent(ctx context.Context) error {
	name, lost, err := d.loaded()
	if err != nil {
		return err
	}
	say("the agent of %s freezes (SIGSTOP); its %d processes live on, so they must die before they run elsewhere", name, len(lost))
	began := witness.Now()
	node := d.machines[name]
	if n := node.Signal(unix.SIGSTOP, "distsuperagent run"); n == 0 {
		return fmt.Errorf("no agent of %s to freeze", name)
	}
	err = d.replaced(ctx, lost, began)
	node.Signal(unix.SIGCONT, "distsuperagent run")
	if err != nil {
		return err
	}
	return d.ctl(ctx, "why", lost[0].Process)
}

// replaced waits until each of the lost copies runs again, and says when it did.
func (d *demo) replaced(ctx context.Context, lost []witness.Copy, began int64) error {
	within := touchTimeout*time.Second + time.Second
	deadline := time.Now().Add(within + 10*time.Second)
	missing := lost
	var slowest time.Duration
	for len(missing) > 0 {
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%s did not run again within %v", missing[0].Process, within+10*time.Second)
		}
		time.Sleep(20 * time.Millisecond)
		copies, err := witness.Read(d.sightings)
		if err != nil {
			return err
		}
		var still []witness.Copy
		for _, l := range missing {
			c, ok := successor(copies, l, began)
			if !ok {
				still = append(still, l)
				continue
			}
			took := time.Duration(c.Start - began)
			slowest = max(slowest, took)
			fmt.Printf("%-12s %s -> %s, running again after %.2f s\n", c.Process, l.Machine, c.Machine, took.Seconds())
		}
		missing = still
	}
	fmt.Printf("touch_timeout is %d s; the slowest took %.2f s\n", touchTimeout, slowest.Seconds())
	if slowest > within {
		fmt.Printf("note: that is over touch_timeout + 1 s; on a busy host it can be\n")
	}
	return nil
}

func successor(copies []witness.Copy, lost witness.Copy, after int64) (witness.Copy, bool) {
	for _, c := range copies {
		if c.Process == lost.Process && c.Start > after {
			return c, true
		}
	}
	return witness.Copy{}, false
}

// testimony judges by the witnesses' own files.
func (d *demo) testimony(ctx context.Context) error {
	if err := d.ctl(ctx, "stop", "all"); err != nil {
		return err
	}
	copies, err := witness.Read(d.sightings)
	if err != nil {
		return err
	}
	most, pair := witness.MaxCopies(copies)
	say("%d copies testified; the most of one process that ever ran at once: %d", len(copies), most)
	if most != 1 {
		return fmt.Errorf("%s ran twice at once: pid %d on %s (alive until %d) and pid %d on %s (from %d)",
			pair[0].Process, pair[0].PID, pair[0].Machine, pair[0].Last, pair[1].PID, pair[1].Machine, pair[1].Start)
	}
	return nil
}
