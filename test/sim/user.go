package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/store"
)

// User is somebody with distsuperctl on a host of their own: what they do is done by package client.
type User struct {
	node
	kv  *kv
	did int // commands
	// cordoning: so many commands are under way.
	cordoning int
	// accepting: a store that went back is to be accepted, so many times since that was done last.
	accepting int
}

func (w *World) newUser() {
	u := &User{node: node{w: w, host: w.newHost("ctl"), name: "ctl"}}
	u.begin()
	u.kv = newKV(&u.node)
	w.Users = u
	schema := store.Encode(api.Schema{Version: api.SchemaVersion, By: "sim"})
	_, _ = w.Etcd.kv.Txn(context.Background(), store.Txn{Then: []store.Op{store.Put(w.Keys.Schema(), schema)}})
}

// patient is a context whose deadline never comes: package client bounds by the time of the process what has none.
type patient struct{ context.Context }

func (patient) Deadline() (time.Time, bool) { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), true }

// command is a distsuperctl of its own for each command.
func (u *User) command() *client.Client {
	u.did++
	return client.NewIn(u.kv, u.w.Keys, client.Surroundings{Who: "ann@ctl", Writer: fmt.Sprintf("ann@ctl#%d", u.did), Clock: u.host,
		Sleep: func(_ context.Context, d time.Duration) bool { return u.w.sleep(d) }})
}

// Do has the user do something, beside everything else. What they do is told as what.
func (u *User) Do(what string, do func(ctx context.Context, c *client.Client) error) {
	u.w.tell("ctl", "%s", what)
	u.run(func(ctx context.Context) {
		if err := do(patient{ctx}, u.command()); err != nil && ctx.Err() == nil {
			u.w.tell("ctl", "%s: %v", what, err)
		}
	})
}

// Create makes a program, whose copies behave as p says.
func (u *User) Create(name string, p Program, change ...func(*api.Program)) {
	u.w.programs[name], u.w.specs[name] = p, change
	u.Do("create "+name, func(ctx context.Context, c *client.Client) error {
		spec := client.Program(name, "/bin/"+name)
		for _, c := range change {
			c(&spec)
		}
		_, err := c.Create(ctx, spec)
		return err
	})
}

// TouchTimeout changes a program's.
func TouchTimeout(seconds int) func(*api.Program) {
	return func(p *api.Program) { p.TouchTimeout = seconds }
}

// OnPartition sets a program's.
func OnPartition(to api.OnPartition) func(*api.Program) {
	return func(p *api.Program) { p.OnPartition = to }
}

// The commands about processes.
func (u *User) Start(process string) { u.ask("start", process, (*client.Client).StartProcess) }

// Stop asks for a stop.
func (u *User) Stop(process string) { u.ask("stop", process, (*client.Client).StopProcess) }

// Restart asks for a restart.
func (u *User) Restart(process string) { u.ask("restart", process, (*client.Client).RestartProcess) }

// Move asks for a move to a machine, "" for any other.
func (u *User) Move(process, to string) {
	u.ask("move to "+to, process, func(c *client.Client, ctx context.Context, p string) (bool, error) {
		return true, c.MoveProcess(ctx, p, to)
	})
}

func (u *User) ask(what, process string, f func(*client.Client, context.Context, string) (bool, error)) {
	u.Do(fmt.Sprintf("%s %s", what, process), func(ctx context.Context, c *client.Client) error {
		_, err := f(c, ctx, process)
		return err
	})
}

// Remove removes a program.
func (u *User) Remove(program string) {
	u.Do("remove "+program, func(ctx context.Context, c *client.Client) error {
		_, err := c.Remove(ctx, program)
		return err
	})
}

// Change loads a program with something changed.
func (u *User) Change(program string, change func(*api.Program)) {
	u.Do("load "+program+" with a change", func(ctx context.Context, c *client.Client) error {
		res, err := c.KV().Range(ctx, store.Range{Key: c.Keys().Program(program)})
		if err != nil || len(res.Entries) == 0 {
			return err
		}
		p, err := store.Decode[api.Program](res.Entries[0])
		if err != nil {
			return err
		}
		source := p.Source
		all, err := c.SourcePrograms(ctx, source)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].Name == program {
				change(&all[i])
			}
		}
		plan, err := c.PlanLoad(ctx, source, all)
		if err != nil {
			return err
		}
		return c.Load(ctx, plan)
	})
}

// cordoned is Do of what ends with a cordon. An uncordon comes after it: what etcd has not answered yet could happen later.
func (u *User) cordoned(what string, do func(ctx context.Context, c *client.Client) error) {
	u.cordoning++
	u.Do(what, func(ctx context.Context, c *client.Client) error {
		defer func() { u.cordoning-- }()
		return do(ctx, c)
	})
}

func (u *User) uncordon(machine string) {
	u.Do("uncordon "+machine, func(ctx context.Context, c *client.Client) error {
		u.w.until(100*time.Millisecond, func() bool { return u.cordoning == 0 })
		_, err := c.Uncordon(ctx, machine)
		return err
	})
}
