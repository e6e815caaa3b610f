package recovery

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store/view"
)

// Slack is how far the floor of tokens lies above what is known about: a machine that is off may have seen a little more.
const Slack = 1_000_000

// Report is what a machine says that does not believe the store.
type Report struct {
	Seen api.Seen
	Held []api.Held
}

// Situation is all that is known.
type Situation struct {
	View   *view.View
	Schema api.Schema
	// Reports are those of machines, by name, Controllers those of controllers, by id.
	Reports     map[string]Report
	Controllers map[string]api.Seen
	// Fingerprint is spec.Fingerprint.
	Fingerprint func(api.Process) string
}

// Plan is what accepting a store comes to.
type Plan struct {
	Floor    int64         `json:"floor"`    // of tokens
	Takeover []Takeover    `json:"takeover"` // by process
	Anew     []string      `json:"anew"`     // processes that the store has placed, and of which nobody says that they run: they are placed anew
	Silent   []string      `json:"silent"`   // machines that may run something and say nothing
	Machines []string      `json:"machines"` // that report
	Daemons  []string      `json:"controllers"`
	Unknown  []string      `json:"unknown"` // of Takeover, those that no program asks for: they will be stopped
	Wait     time.Duration `json:"-"`       // after which nothing fenced can be alive of which nobody says so
}

// Takeover is a process that runs, and is to go on as it does.
type Takeover struct {
	Process string    `json:"process"`
	Machine string    `json:"machine"`
	Token   int64     `json:"token"`
	Owner   api.Owner `json:"-"`
	Held    api.Held  `json:"-"`
	Intent  bool      `json:"-"` // nobody says in the store that it is to run, or not
}

// Decide says what accepting the store as it is comes to.
func Decide(s Situation) Plan {
	p := Plan{Floor: s.floor(), Machines: slices.Sorted(maps.Keys(s.Reports)), Daemons: slices.Sorted(maps.Keys(s.Controllers)), Wait: s.wait()}
	taken := map[string]bool{}
	for _, t := range s.running() {
		process := s.View.Process(t.Process)
		if stopped(t.Held) || s.replaced(process, t) {
			continue
		}
		taken[t.Process] = true
		if process == nil || process.Spec == nil {
			p.Unknown = append(p.Unknown, t.Process)
		}
		t.Intent = process != nil && process.Spec != nil && process.Intent == nil
		t.Owner = s.owner(process, t)
		p.Takeover = append(p.Takeover, t)
	}
	for process := range s.View.Processes() {
		if o := process.Owner; !taken[process.ID] && o != nil && o.Value.Placed && !s.believes(o.Value.Machine) {
			p.Anew = append(p.Anew, process.ID)
		}
	}
	for m := range s.View.Machines() {
		if s.silent(m) {
			p.Silent = append(p.Silent, m.Name)
		}
	}
	return p
}

// stopped reports whether a run has ended without being done: it was fenced, or somebody stopped it. Whether the process is to run, the
// store says, and it starts under a new token then: another one may have run since, of which nobody is left who could tell.
func stopped(h api.Held) bool { return h.Status.State == api.Stopped && !h.MayLive() }

// replaced reports whether the process was started elsewhere after a run had ended: by a leader that believes the store, on a machine that
// does. That one counts. Its machine stops it only when it hears that it is to, so the other must not come back meanwhile.
func (s Situation) replaced(p *view.Process, t Takeover) bool {
	return !t.Held.MayLive() && p != nil && p.Owner != nil && p.Owner.Value.Placed && p.Owner.Value.Machine != t.Machine &&
		s.believes(p.Owner.Value.Machine)
}

// running is what is reported, by process. One that is reported twice is the later run: the other is on its way to its end.
func (s Situation) running() []Takeover {
	best := map[string]Takeover{}
	for _, machine := range slices.Sorted(maps.Keys(s.Reports)) {
		for _, h := range s.Reports[machine].Held {
			t := Takeover{Process: h.Placement.Process.ID(), Machine: machine, Token: h.Placement.Token, Held: h}
			if old, found := best[t.Process]; !found || old.Token < t.Token {
				best[t.Process] = t
			}
		}
	}
	return slices.SortedFunc(maps.Values(best), func(a, b Takeover) int { return cmp.Compare(a.Process, b.Process) })
}

// owner is what the owner of a run says from now on. It answers whatever the store asks for by now, so that nothing but another
// program or another wish changes it.
func (s Situation) owner(p *view.Process, t Takeover) api.Owner {
	o := api.Owner{Reason: "it ran there when the restored store was accepted"}
	if p != nil && p.Owner != nil && p.Owner.Value.Machine == t.Machine && p.Owner.Value.Token == t.Token {
		o = p.Owner.Value
	}
	o.Machine, o.Token, o.Instance, o.Placed, o.Finished = t.Machine, t.Token, t.Held.Placement.Instance, true, nil
	o.Spec = s.Fingerprint(t.Held.Placement.Process)
	if p != nil && p.Intent != nil {
		o.Restarts, o.Moves = p.Intent.Value.Restarts, p.Intent.Value.Moves
	}
	return o
}

// believes reports whether a machine is live and holds the store for the one that it was.
func (s Situation) believes(machine string) bool {
	m := s.View.Machine(machine)
	_, reports := s.Reports[machine]
	return m != nil && m.Alive != nil && !reports
}

// silent reports whether a machine may run something and says nothing. That it left, or was confirmed dead, is no word for it: the
// store is of the past, and the machine may have come back since.
func (s Situation) silent(m *view.Machine) bool {
	_, reports := s.Reports[m.Name]
	return !reports && m.Alive == nil && m.Info != nil
}

// Vouched says which machines are silent besides those of which somebody has made sure that they are off.
func (p Plan) Vouched(off []string) error {
	silent := slices.DeleteFunc(slices.Clone(p.Silent), func(m string) bool { return slices.Contains(off, m) })
	if len(silent) == 0 {
		return nil
	}
	return &SilentError{Machines: silent}
}

// SilentError names machines that say nothing, and of which nobody has made sure that they are off.
type SilentError struct{ Machines []string }

func (e *SilentError) Error() string {
	return "these machines do not answer, and may run what nobody else knows of: " + strings.Join(e.Machines, ", ")
}

func (s Situation) floor() int64 {
	most := s.Schema.Floor + s.View.Rev
	for _, r := range s.Reports {
		most = max(most, r.Seen.Tokens)
		for _, h := range r.Held {
			most = max(most, h.Placement.Token)
		}
	}
	for _, seen := range s.Controllers {
		most = max(most, seen.Tokens)
	}
	for p := range s.View.Processes() {
		if p.Owner != nil {
			most = max(most, p.Owner.Value.Token)
		}
	}
	return most + Slack
}

// etcdTime is how much longer than its time a lease may stand: it begins anew when etcd starts and elects a leader, and etcd looks
// twice a second for what has expired.
const etcdTime = 2 * time.Second

// wait is after how long a run has ended that was fenced, and whose machine has neither renewed its lease since, nor been promised anything by
// the controllers, who promise nothing while they do not believe the store; and after how long the alive key of such a machine is gone.
func (s Situation) wait() time.Duration {
	const least = 5 // the default
	longest := int64(least)
	see := func(p api.Process) { longest = max(longest, int64(p.TouchTimeout)) }
	for p := range s.View.Processes() {
		if p.Spec != nil {
			see(*p.Spec)
		}
		for _, slot := range p.Slots {
			if slot.Placement != nil {
				see(slot.Placement.Value.Process)
			}
		}
	}
	for _, r := range s.Reports {
		for _, h := range r.Held {
			see(h.Placement.Process)
		}
	}
	return max(Outlived(longest), deadline.WaitTime(promise.Length+deadline.TreeTime)) + etcdTime
}

// Outlived is after how long a run on a lease of ttl seconds has ended that is renewed no more: by the clock of somebody else, which
// may be slewed, and also where no cgroup holds it.
func Outlived(ttl int64) time.Duration {
	return time.Duration(ttl)*time.Second + deadline.Margin(ttl) + deadline.TreeTime
}
