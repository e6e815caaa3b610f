package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/distsuper/distsuper/test/cluster"
)

// user is who gives commands, from a host that no fault reaches, and knows what is to be of it.
type user struct {
	*round
	node *cluster.Node

	mu     sync.Mutex
	ids    []string        // of the processes
	state  map[string]What // Wanted, Unsure or Stopped
	asked  map[string]int  // how many commands were given about each
	bursts int             // that are over
	// cordoned are the machines that may take nothing since the burst began.
	cordoned []string
	loads    int    // how often the file has changed
	loaded   string // the program that changes with the file
}

func newUser(ctx context.Context, r *round) (*user, error) {
	c := cluster.New(r.o.Dir, r.o.Bin)
	c.Etcd = "[etcd]\nendpoints = " + strings.Join(r.etcd.Endpoints(), ", ")
	r.clusters = append(r.clusters, c)
	u := &user{round: r, state: map[string]What{}, asked: map[string]int{}}
	var err error
	if u.node, err = c.Node("user", ""); err != nil {
		return nil, err
	}
	for _, p := range r.plan.Programs {
		u.ids = append(u.ids, processIDs(p)...)
	}
	if err := u.write(); err != nil {
		return nil, err
	}
	if _, err := u.node.Must(ctx, "distsuperctl", "load", "--yes"); err != nil {
		return nil, err
	}
	for _, id := range u.ids {
		u.set(id, Wanted)
	}
	return u, nil
}

func processIDs(p ProgramPlan) (ids []string) {
	for i := range p.Copies {
		ids = append(ids, fmt.Sprintf("%[1]s:%[1]s-%[2]d", p.Name, i))
	}
	return ids
}

// write writes the programs into the user's file.
func (u *user) write() error {
	var b strings.Builder
	fmt.Fprintf(&b, "[etcd]\nendpoints = %s\n", strings.Join(u.etcd.Endpoints(), ", "))
	for _, p := range u.plan.Programs {
		flags := "-tree -beat 10ms"
		if p.Stubborn {
			flags += " -ignore-term"
		}
		changes := 0
		if p.Name == u.loaded {
			changes = u.loads
		}
		fmt.Fprintf(&b, "\n[program:%s]\ncommand = %s %s %s\nprocess_name = %%(program_name)s-%%(process_num)d\nnumprocs = %d\ntouch_timeout = %d\n"+
			"on_partition = stop\nstartsecs = 0\nstartretries = 1000\nstopwaitsecs = 2\nautorestart = true\nenvironment = LOADED=\"%d\"\n",
			p.Name, filepath.Join(u.o.Bin, "witness"), flags, u.sightings, p.Copies, p.TouchTimeout, changes)
		if len(p.Pinned) > 0 {
			var names []string
			for _, i := range p.Pinned {
				names = append(names, hostName(i))
			}
			fmt.Fprintf(&b, "machines = %s\n", strings.Join(names, ", "))
		}
	}
	return os.WriteFile(filepath.Join(u.node.Dir, "distsuper.ini"), []byte(b.String()), 0o600)
}

func (u *user) set(id string, w What) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.state[id] = w
	u.journal.note(w, id, "")
}

// wants are the processes that should run.
func (u *user) wants() (ids []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range u.ids {
		if u.state[id] == Wanted {
			ids = append(ids, id)
		}
	}
	return ids
}

// run gives a command, and says whether it succeeded.
func (u *user) run(ctx context.Context, words ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	text := strings.Join(words, " ")
	u.journal.note(Note, "user", "%s", text)
	r := u.node.Run(ctx, "distsuperctl", words...)
	said := strings.Join(strings.Fields(r.Stdout+" "+r.Stderr), " ")
	u.journal.note(Note, "user", "%s: exit %d after %.3f s: %s", text, r.Code, r.Took.Seconds(), said)
	return r.Code == 0
}

// give gives one of the plan's commands. What a process should do is known again only when the command has succeeded, and no other
// one about it was given meanwhile.
func (u *user) give(ctx context.Context, c Command) {
	id, machine := u.ids[c.Process], hostName(c.Host)
	switch c.What {
	case "stop":
		u.ask(ctx, id, Stopped, "stop", "--timeout", "20s", id)
	case "start", "restart":
		u.ask(ctx, id, Wanted, c.What, "--timeout", "20s", id)
	case "move":
		u.run(ctx, "move", "--timeout", "20s", id, machine)
	case "drain":
		u.cordon(machine)
		u.run(ctx, "drain", "--timeout", "20s", machine)
	case "cordon":
		u.cordon(machine)
		u.run(ctx, "cordon", machine)
	case "load":
		u.mu.Lock()
		u.loads, u.loaded = u.loads+1, u.plan.Programs[c.Process%len(u.plan.Programs)].Name
		err := u.write()
		u.mu.Unlock()
		if err != nil {
			u.journal.note(Note, "user", "%v", err)
		}
		u.run(ctx, "load", "--yes")
	}
}

// ask gives a command after which a process is to be in a state.
func (u *user) ask(ctx context.Context, id string, w What, words ...string) {
	u.mu.Lock()
	u.asked[id]++
	mine := u.asked[id]
	u.mu.Unlock()
	u.set(id, Unsure)
	ok := u.run(ctx, words...)
	u.mu.Lock()
	ok = ok && u.asked[id] == mine
	u.mu.Unlock()
	if ok {
		u.set(id, w)
	}
}

// insist repeats, when all is well again, what did not succeed, has every machine take processes, and starts what was stopped: the one
// half now, the other after the next burst.
func (u *user) insist(ctx context.Context) {
	for _, machine := range u.cordoned {
		for try := 0; try < 10 && ctx.Err() == nil && !u.run(ctx, "uncordon", machine); try++ {
		}
	}
	u.cordoned = nil
	for i, id := range u.ids {
		u.mu.Lock()
		state := u.state[id]
		u.mu.Unlock()
		for try := 0; try < 10 && ctx.Err() == nil && state != Wanted && (state != Stopped || i%2 == u.bursts%2); try++ {
			u.ask(ctx, id, Wanted, "start", "--timeout", "40s", id)
			u.mu.Lock()
			state = u.state[id]
			u.mu.Unlock()
		}
	}
	u.bursts++
}

func (u *user) cordon(machine string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !slices.Contains(u.cordoned, machine) {
		u.cordoned = append(u.cordoned, machine)
	}
}
