package chaos

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Hosts is how many there are. The first Voters of them have a member of etcd and a distsuperd.
const Hosts, Voters = 5, 3

// Plan is a round as a seed draws it.
type Plan struct {
	Seed     uint64
	Starved  bool // the host of all hosts has too little processor
	Hosts    [Hosts]HostPlan
	Programs []ProgramPlan
	Bursts   []Burst
}

// HostPlan is what is special about a host.
type HostPlan struct {
	NoCgroups bool
	Shift     time.Duration // of its boot clock, in a time namespace
	Proxied   bool          // it reaches etcd by proxies, which may be slow
}

// ProgramPlan is a program that testifies.
type ProgramPlan struct {
	Name         string
	Copies       int
	TouchTimeout int
	Stubborn     bool // it ignores TERM
	Pinned       []int
}

// Burst is what happens at once. All of it is over, and all runs, before the next one.
type Burst struct {
	Faults   []Fault
	Commands []Command
	Quiet    time.Duration // afterwards
}

// Fault is one thing that goes wrong.
type Fault struct {
	Kind         string
	Host, Other  int           // Other is the far end of an edge
	After, Lasts time.Duration // from the beginning of the burst, and from then on
	Share        int           // percent, of packets that are lost; milliseconds, of a delay
}

func (f Fault) String() string {
	if kinds[f.Kind].family == outages {
		return fmt.Sprintf("%s for %v", f.Kind, f.Lasts.Round(time.Millisecond))
	}
	text := fmt.Sprintf("%s h%d", f.Kind, f.Host+1)
	if kinds[f.Kind].edge {
		text += fmt.Sprintf("-h%d", f.Other+1)
	}
	if f.Share > 0 {
		text += fmt.Sprintf(" %d", f.Share)
	}
	return fmt.Sprintf("%s for %v", text, f.Lasts.Round(time.Millisecond))
}

// Command is one that a user gives.
type Command struct {
	After   time.Duration
	What    string // start, stop, restart, move, drain, cordon, load
	Process int    // which one, or which program
	Host    int
}

// Draw draws a round of so many faults, in one of whose bursts all of etcd is away. The same seed gives the same round.
func Draw(seed uint64, faults int) Plan {
	r := rand.New(rand.NewPCG(seed, 0x63616f73))
	p := Plan{Seed: seed, Starved: seed%2 == 1}
	bare := r.Perm(Hosts)[:2+r.IntN(2)]
	for _, i := range bare {
		p.Hosts[i].NoCgroups = true
	}
	p.Hosts[r.IntN(Hosts)].Shift = time.Duration(1+r.IntN(1_000_000)) * time.Second
	p.Hosts[r.IntN(Hosts)].Proxied = true
	home := r.Perm(Hosts)
	p.Programs = []ProgramPlan{
		{Name: "a", Copies: 3, TouchTimeout: 2},
		{Name: "b", Copies: 2, TouchTimeout: 3, Stubborn: true},
		{Name: "c", Copies: 2, TouchTimeout: 2 + r.IntN(4), Stubborn: r.IntN(2) == 0},
		{Name: "d", Copies: 1, TouchTimeout: 5, Pinned: home[:2]},
	}
	for drawn, outage := 0, r.IntN(max(faults-4, 1)); drawn < faults; {
		b := p.burst(r, min(1+r.IntN(4), faults-drawn))
		if outage <= drawn {
			b, outage = p.outage(r, faults-drawn), faults
		}
		b.Faults = survivable(b.Faults)
		drawn += len(b.Faults)
		p.Bursts = append(p.Bursts, b)
	}
	return p
}

// enforcers are the daemons of a machine of which one has to be well: when all of them stand still or are dead, nothing on it ends what has
// detached itself (hack/docs/safety.md has that among the limits). A kind that befalls one of them has it in its name.
var enforcers = []string{"agent", "keeper", "guard"}

// survivable leaves faults out that would take the last enforcer of a host.
func survivable(faults []Fault) (left []Fault) {
	taken := map[int]map[string]bool{}
	for _, f := range faults {
		those := maps.Clone(taken[f.Host])
		if those == nil {
			those = map[string]bool{}
		}
		for _, name := range enforcers {
			if strings.Contains(f.Kind, name) {
				those[name] = true
			}
		}
		if len(those) < len(enforcers) {
			taken[f.Host], left = those, append(left, f)
		}
	}
	return left
}

// Processes is how many there are.
func (p Plan) Processes() (n int) {
	for _, program := range p.Programs {
		n += program.Copies
	}
	return n
}

// Faults is how many there are.
func (p Plan) Faults() (n int) {
	for _, b := range p.Bursts {
		n += len(b.Faults)
	}
	return n
}

func (p Plan) burst(r *rand.Rand, faults int) Burst {
	b := Burst{Quiet: between(r, 200*time.Millisecond, 2*time.Second)}
	for range faults {
		f := p.fault(r)
		if kinds[f.Kind].alone {
			f.After = 0
			return Burst{Faults: []Fault{f}, Quiet: b.Quiet}
		}
		b.Faults = append(b.Faults, f)
	}
	if faults == 1 {
		b.Faults[0].After = 0
	}
	for range r.IntN(3) {
		what := []string{"start", "stop", "stop", "restart", "move", "move", "drain", "cordon", "load"}[r.IntN(9)]
		b.Commands = append(b.Commands, Command{After: between(r, 0, 6*time.Second), What: what, Process: r.IntN(p.Processes()), Host: r.IntN(Hosts)})
	}
	return b
}

// outage is a burst of at most so many faults in which all of etcd is away. Beside it daemons are restarted that must not matter, before
// it, meanwhile and afterwards, and a host without etcd may be lost.
func (p Plan) outage(r *rand.Rand, most int) Burst {
	all := Fault{Kind: drawFrom(r, func(k kind) bool { return k.family == outages }), After: between(r, 0, 3*time.Second), Lasts: between(r, 20*time.Second, time.Minute)}
	b := Burst{Faults: []Fault{all}, Quiet: between(r, 3*time.Second, 5*time.Second)} // who is late ends within a lease
	for range min(r.IntN(4), most-1) {
		f := Fault{Kind: drawFrom(r, func(k kind) bool { return k.gentle }), Host: r.IntN(Hosts)}
		if kinds[f.Kind].voters {
			f.Host = r.IntN(Voters)
		}
		f.After, f.Lasts = between(r, 0, all.After+all.Lasts+3*time.Second), between(r, 100*time.Millisecond, 2*time.Second)
		b.Faults = append(b.Faults, f)
	}
	if len(b.Faults) < most && r.IntN(3) == 0 {
		lost := []string{"cut", "cut-reset", "kill-host", "freeze-host"}[r.IntN(4)]
		b.Faults = append(b.Faults, Fault{Kind: lost, Host: Voters + r.IntN(Hosts-Voters), After: between(r, 0, all.After+all.Lasts/2), Lasts: between(r, 12*time.Second, all.Lasts)})
	}
	return b
}

// onlyOf is so many bursts of one fault of a kind each, which befalls one host after the other for longer than every touch_timeout.
func (p Plan) onlyOf(kind string, faults int) (all []Burst) {
	on := Hosts
	if kinds[kind].voters {
		on = Voters
	}
	for i := range faults {
		all = append(all, Burst{Faults: []Fault{{Kind: kind, Host: i % on, Lasts: 9 * time.Second}}, Quiet: time.Second})
	}
	return all
}

// drawFrom draws one of some kinds.
func drawFrom(r *rand.Rand, which func(kind) bool) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if which(kinds[name]) {
			names = append(names, name)
		}
	}
	return names[r.IntN(len(names))]
}

func (p Plan) fault(r *rand.Rand) Fault {
	f := Fault{Kind: drawKind(r), After: between(r, 0, 3*time.Second)}
	k := kinds[f.Kind]
	f.Host = r.IntN(Hosts)
	if k.voters {
		f.Host = r.IntN(Voters)
	}
	if k.proxied {
		for i, h := range p.Hosts {
			if h.Proxied {
				f.Host = i
			}
		}
	}
	if k.edge {
		f.Other = (f.Host + 1 + r.IntN(Hosts-1)) % Hosts
	}
	if k.share[1] > 0 {
		f.Share = k.share[0] + r.IntN(k.share[1]-k.share[0])
	}
	f.Lasts = between(r, 100*time.Millisecond, 2*time.Second)
	if r.IntN(3) > 0 { // most are longer than a touch_timeout
		f.Lasts = between(r, 2*time.Second, 9*time.Second)
	}
	return f
}

func between(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64(high-low)))
}
