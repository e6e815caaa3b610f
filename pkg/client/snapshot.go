package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
)

// Snapshot is what the store says, joined. It is one moment's when Snapshot read it; Watch's may show some
// keys a little earlier than others.
type Snapshot struct {
	Programs  []ProgramState // by name
	Processes []Process      // by group, then name; also those whose program was removed and that are not gone yet
	Machines  []Machine      // by name
	// Broken are values that cannot be read, by key.
	Broken map[string]string

	statuses map[string][]OldStatus // by process
	owners   map[string]*api.Owner
}

// ProgramState is a program with its processes.
type ProgramState struct {
	ID string `json:"id"` // name:N
	api.Program
	Processes []Process `json:"-"`
}

// Process is everything that is known of one process. Pointers are nil for what there is not.
type Process struct {
	Name    string // group:name, or name
	Group   string
	Program string // "" when no program asks for it any more

	Spec   *api.Process
	Intent *api.Intent
	Owner  *api.Owner
	// Placement, Touch and Status are those under the machine that Owner names; Status is of Owner's token.
	Placement *api.Placement
	Touch     *api.Touch
	Status    *api.Status
	// Lease is the touch's.
	Lease store.LeaseID
	// Live reports whether Owner's machine is alive as the instance that Owner names.
	Live bool
	back bool // the machine is alive, as another instance

	// State and Text are what to show: supervisor's state and description, or what it waits for. Awaits is
	// whose turn it is, and Fault what is wrong with a process that is FATAL or in BACKOFF.
	State  api.State
	Text   string
	Awaits Awaits
	Fault  api.Fault
}

// Machine is everything that is known of one machine.
type Machine struct {
	Name      string
	Info      *api.MachineInfo
	Alive     *api.Alive
	Cordon    *api.Cordon
	Dead      *api.ConfirmDead
	Placed    int // processes placed here
	Touched   int // touches that stand here
	lastTouch []string
}

// OldStatus is what another machine says of a process, of an earlier run.
type OldStatus struct {
	Machine string
	Status  api.Status
}

// Process finds a process by its name, nil for none.
func (s *Snapshot) Process(name string) *Process {
	for i := range s.Processes {
		if s.Processes[i].Name == name {
			return &s.Processes[i]
		}
	}
	return nil
}

// Machine finds a machine, nil for none.
func (s *Snapshot) Machine(name string) *Machine {
	for i := range s.Machines {
		if s.Machines[i].Name == name {
			return &s.Machines[i]
		}
	}
	return nil
}

// Elsewhere are the statuses of a process on machines where it is not now, by machine.
func (s *Snapshot) Elsewhere(process string) []OldStatus {
	p := s.Process(process)
	var out []OldStatus
	for _, o := range s.statuses[process] {
		if p == nil || p.Owner == nil || p.Owner.Machine != o.Machine {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b OldStatus) int { return cmp.Compare(a.Machine, b.Machine) })
	return out
}

// Touches are the processes that a machine holds.
func (m *Machine) Touches() []string { return m.lastTouch }

// Snapshot reads everything.
func (c *Client) Snapshot(ctx context.Context) (*Snapshot, error) {
	var snap *Snapshot
	err := c.retry(ctx, func(ctx context.Context) error {
		entries, err := c.readAll(ctx)
		if err != nil {
			return fmt.Errorf("read the state: %w", err)
		}
		snap = join(c.keys, entries, c.wall())
		return nil
	})
	return snap, err
}

// prefixes are what a snapshot is made of.
func prefixes(keys store.Keys) []string {
	return []string{keys.Programs(), keys.Intents(), keys.Owners(), keys.Machines()}
}

// readAll reads the prefixes as they were at one revision.
func (c *Client) readAll(ctx context.Context) ([]store.Entry, error) {
	for {
		entries, err := c.readOnce(ctx)
		if !errors.Is(err, store.ErrCompacted) {
			return entries, err
		}
	}
}

func (c *Client) readOnce(ctx context.Context) (all []store.Entry, err error) {
	var rev int64
	for _, prefix := range prefixes(c.keys) {
		r := store.Range{Key: prefix, Prefix: true, Rev: rev, Limit: 2000}
		for {
			res, err := c.kv.Range(ctx, r)
			if err != nil {
				return nil, err
			}
			if rev == 0 {
				rev, r.Rev = res.Rev, res.Rev
			}
			all = append(all, res.Entries...)
			if !res.More || len(res.Entries) == 0 {
				break
			}
			r.From = res.Entries[len(res.Entries)-1].Key + "\x00"
		}
	}
	return all, nil
}

// at is a machine and a process.
type at struct{ machine, process string }

// joiner gathers entries by what they are about.
type joiner struct {
	keys       store.Keys
	snap       *Snapshot
	programs   map[string]stored
	intents    map[string]*api.Intent
	owners     map[string]*api.Owner
	machines   map[string]*Machine
	placements map[at]*api.Placement
	touches    map[at]*api.Touch
	leases     map[at]store.LeaseID
	statuses   map[at]*api.Status
	missing    string // see missing
}

// join makes a snapshot of entries.
func join(keys store.Keys, entries []store.Entry, now time.Time) *Snapshot {
	j := &joiner{
		keys: keys, snap: &Snapshot{Broken: map[string]string{}, statuses: map[string][]OldStatus{}},
		programs: map[string]stored{}, intents: map[string]*api.Intent{}, owners: map[string]*api.Owner{},
		machines: map[string]*Machine{}, placements: map[at]*api.Placement{}, touches: map[at]*api.Touch{},
		leases: map[at]store.LeaseID{}, statuses: map[at]*api.Status{},
	}
	for _, e := range entries {
		if err := j.take(e); err != nil {
			j.snap.Broken[e.Key] = err.Error()
		}
	}
	j.snap.owners = j.owners
	j.finish(now)
	return j.snap
}

func (j *joiner) take(e store.Entry) error {
	name, err := j.keys.Parse(e.Key)
	if err != nil {
		return err
	}
	where := at{name.Machine, name.ID}
	switch name.Kind {
	case store.KindProgram:
		s, err := readProgram(e)
		if err == nil {
			j.programs[name.ID] = s
		}
		return err
	case store.KindIntent:
		return into(j.intents, name.ID, e)
	case store.KindOwner:
		return into(j.owners, name.ID, e)
	case store.KindPlacement:
		return into(j.placements, where, e)
	case store.KindTouch:
		j.leases[where] = e.Lease
		return into(j.touches, where, e)
	case store.KindStatus:
		return into(j.statuses, where, e)
	}
	return j.takeMachine(name, e)
}

func into[K comparable, T any](m map[K]*T, key K, e store.Entry) (err error) {
	m[key], err = decode[T](&e)
	if err != nil {
		delete(m, key)
	}
	return err
}

func (j *joiner) machine(name string) *Machine {
	m := j.machines[name]
	if m == nil {
		m = &Machine{Name: name}
		j.machines[name] = m
	}
	return m
}

func (j *joiner) takeMachine(name store.Name, e store.Entry) (err error) {
	switch name.Kind {
	case store.KindInfo:
		j.machine(name.Machine).Info, err = decode[api.MachineInfo](&e)
	case store.KindAlive:
		j.machine(name.Machine).Alive, err = decode[api.Alive](&e)
	case store.KindCordon:
		j.machine(name.Machine).Cordon, err = decode[api.Cordon](&e)
	case store.KindDead:
		j.machine(name.Machine).Dead, err = decode[api.ConfirmDead](&e)
	}
	return err
}

// finish joins what was gathered.
func (j *joiner) finish(now time.Time) {
	for where, s := range j.statuses {
		j.snap.statuses[where.process] = append(j.snap.statuses[where.process], OldStatus{where.machine, *s})
	}
	for where := range j.placements {
		j.machine(where.machine).Placed++
	}
	for where := range j.touches {
		m := j.machine(where.machine)
		m.Touched++
		m.lastTouch = append(m.lastTouch, where.process)
	}
	absent, known := 0, 0
	for _, m := range j.machines {
		if m.Info != nil { // as the leader counts
			known++
			if m.Alive == nil {
				absent++
			}
		}
		slices.Sort(m.lastTouch)
		j.snap.Machines = append(j.snap.Machines, *m)
	}
	slices.SortFunc(j.snap.Machines, func(a, b Machine) int { return cmp.Compare(a.Name, b.Name) })
	j.missing = missing(absent, known)
	j.finishProcesses(now)
}

func (j *joiner) finishProcesses(now time.Time) {
	known := map[string]bool{}
	names := make([]string, 0, len(j.programs))
	for name := range j.programs {
		names = append(names, name)
	}
	slices.Sort(names) // of two programs that ask for one process, the first has it, as for the leader
	for _, name := range names {
		s := j.programs[name]
		state := ProgramState{ID: ID(name, s.createRev), Program: s.Program}
		for _, proc := range s.processes {
			if id := proc.ID(); !known[id] {
				known[id] = true
				state.Processes = append(state.Processes, j.process(id, &proc, now))
			}
		}
		j.snap.Programs = append(j.snap.Programs, state)
		j.snap.Processes = append(j.snap.Processes, state.Processes...)
	}
	for id, o := range j.owners {
		if known[id] || o.Machine == "" {
			continue
		}
		p := j.process(id, nil, now)
		if p.Placement == nil && p.Touch == nil {
			continue // nothing of it runs: the leader is about to forget it
		}
		j.snap.Processes = append(j.snap.Processes, p)
	}
	slices.SortFunc(j.snap.Processes, func(a, b Process) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Name, b.Name))
	})
}

func (j *joiner) process(id string, proc *api.Process, now time.Time) Process {
	p := Process{Name: id, Spec: proc, Intent: j.intents[id], Owner: j.owners[id]}
	switch {
	case proc != nil:
		p.Group, p.Program = proc.Group, proc.Program
	default:
		p.Group = groupOf(id)
	}
	if o := p.Owner; o != nil && o.Machine != "" {
		where := at{o.Machine, id}
		p.Placement, p.Touch, p.Lease = j.placements[where], j.touches[where], j.leases[where]
		if s := j.statuses[where]; s != nil && s.Token == o.Token {
			p.Status = s
		}
		if m := j.machines[o.Machine]; m != nil && m.Alive != nil {
			p.Live = m.Alive.Instance == o.Instance
			p.back = !p.Live
		}
	}
	p.describe(now, j.missing)
	return p
}

func groupOf(id string) string {
	for i := range len(id) {
		if id[i] == ':' {
			return id[:i]
		}
	}
	return id
}

// Processes makes the processes of a program, as the leader does.
func Processes(p api.Program) ([]api.Process, error) { return spec.Processes(p) }
