// Demo runs a whole distsuper on this host: three controllers that have an etcd together, three machines, each with a
// state directory of its own. It loads a handful of programs, kills one machine without warning, freezes the
// agent of another, kills the first controller with its etcd, shows where the processes went and how fast, and reads from the processes' own
// testimonies whether any of them ever ran twice at once. It cleans up, and exits 0 only if all of that held.
//
//	go run ./hack/demo -bin bin
package main

import (
	"context"
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
	first     *cluster.Node // of the controllers that are left
	others    []*cluster.Node
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
	for _, step := range []func(context.Context) error{d.up, d.load, d.killMachine, d.freezeAgent, d.killFirst, d.testimony} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func say(format string, args ...any) { fmt.Printf("\n# "+format+"\n", args...) }

// up starts three controllers and three machines.
func (d *demo) up(ctx context.Context) error {
	say("three controllers that have an etcd together, and three machines, each with its own state directory")
	for _, name := range []string{"d1", "d2", "d3"} {
		n, err := d.Member(ctx, d.first, name, "election_ttl = 2")
		if err != nil {
			return err
		}
		out, err := n.Must(ctx, "distsuperd", "start")
		if err != nil {
			return err
		}
		fmt.Print(out)
		if d.first == nil {
			d.first = n
		} else {
			d.others = append(d.others, n)
		}
	}
	if err := d.vote(ctx); err != nil {
		return err
	}
	if err := d.ctl(ctx, "members"); err != nil {
		return err
	}
	var err error
	if d.Etcd, err = d.first.JoinText(ctx); err != nil {
		return err
	}
	for _, name := range []string{"m1", "m2", "m3"} {
		m, err := d.Machine(name)
		if err != nil {
			return err
		}
		out, err := m.Must(ctx, "distsuperagent", "start")
		if err != nil {
			return err
		}
		fmt.Print(out)
		d.machines[name] = m
	}
	return nil
}

// vote waits until all three members of etcd vote, and the first knows where they are.
func (d *demo) vote(ctx context.Context) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, err := d.first.JoinText(ctx)
		if err == nil && strings.Count(text, "https://") == 3 {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("etcd has no three members that vote: %w", err)
		}
	}
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

// killFirst ends the first controller and its etcd without warning: the other two go on.
func (d *demo) killFirst(ctx context.Context) error {
	say("the host of the first controller loses power: SIGKILL to distsuperd and its etcd")
	d.first.Kill()
	d.first = d.others[0]
	began := time.Now()
	for {
		r := d.first.Run(ctx, "distsuperctl", "restart", "mailer")
		if r.Code == 0 {
			fmt.Printf("$ distsuperctl restart mailer\n%sdone %.2f s after its end, by the other two\n", r.Stdout, time.Since(began).Seconds())
			break
		}
		if time.Since(began) > 20*time.Second || ctx.Err() != nil {
			return fmt.Errorf("nothing can be done without the first controller: %s%s", r.Stdout, r.Stderr)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return d.ctl(ctx, "members")
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
