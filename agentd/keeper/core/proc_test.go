package core

import (
	"fmt"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// fate answers what a machine decides; its zero value is a machine on which all goes well.
type fate struct {
	spawn     func() spawnFate
	forkTakes func() time.Duration
	obeys     func() bool // the stop signal
	children  func() int  // that a copy has and that outlive it, each until a kill of its own
	signal    func() bool // fails
	leave     func() error
	actTakes  func() time.Duration // to signal or to kill
	stale     func() bool          // an answer about an earlier copy comes now
}

type spawnFate int

const (
	succeeds spawnFate = iota
	failsNow
	failsLater
	isRefused
)

// proc is what is alive of a process.
type proc struct {
	ref      keeper.Ref
	pid      int // of the main process, 0 when it is gone
	zombie   bool
	children int
	group    int // of children that are in the main process's group, and have the stop signal with it
	limit    deadline.Deadline
}

func (p *proc) alive() bool { return p.pid != 0 || p.children > 0 }

// do carries an effect out.
func (w *world) do(effect Effect) Event {
	switch e := effect.(type) {
	case Spawn:
		return w.spawn(e)
	case Terminate:
		return w.signal(e.Ref, "terminate", e.Group, w.fate.obeys == nil || w.fate.obeys())
	case KillMain:
		return w.signal(e.Ref, "kill main", e.Group, true)
	case KillTree:
		w.note("kill tree", e.Ref)
		w.kill(w.procs[e.Ref.ID])
	case KillRest:
		p := w.procs[e.Ref.ID]
		if p != nil && (p.pid != 0 || p.zombie) {
			w.t.Fatalf("the rest of %s is to be killed while its main process is there", e.Ref.ID)
		}
		w.kill(p)
	case Look:
		return w.look(e)
	case LeaveAlone:
		w.leave(e)
	case Transitioned:
		w.transitioned(e.Transition)
	case Changed:
		w.changed(e)
	case Fenced:
		w.note(fmt.Sprintf("fenced killed=%v left=%v", e.Killed, e.Left), e.Ref)
	case Forgotten:
		delete(w.runs, e.Ref.ID)
	case Limit:
		for _, l := range e.Runs {
			w.limits[l.Ref.ID] = l
		}
	case Guard:
		w.guard = e.Hard
	case Wake:
		w.wake = e.At
	case End:
		w.ended = true
	}
	return nil
}

func (w *world) note(what string, ref keeper.Ref) {
	w.log = append(w.log, fmt.Sprintf("%s %s", what, ref.ID))
}

func (w *world) spawn(e Spawn) Event {
	id := e.Copy.ID
	if p := w.procs[id]; p != nil && p.alive() {
		w.t.Fatalf("%s is spawned beside %+v", id, *p)
	}
	limit := w.hardOf(id)
	if enforcing && w.asked.Passed(limit) {
		w.t.Fatalf("%s is spawned %v after its deadline", id, -w.asked.Left(limit))
	}
	if g := w.guard; enforcing && (g.Boot > limit.Boot || g.Raw > limit.Raw) {
		w.t.Fatalf("%s is spawned while others step in at %+v only, its deadline is %+v", id, g, limit)
	}
	if l := w.limits[id]; l.Ref != e.Copy.Ref || l.Until != limit || enforcing && w.asked.Passed(l.Stop) {
		w.t.Fatalf("%s is spawned, and told that it may act until %+v; its deadline is %+v", id, l, limit)
	}
	if w.fate.forkTakes != nil {
		w.pass(w.fate.forkTakes())
	}
	var what spawnFate
	if w.fate.spawn != nil {
		what = w.fate.spawn()
	}
	failed := SpawnFailed{Copy: e.Copy, Why: Failure{Text: "cannot", Refused: what == isRefused, InChild: what == isRefused}}
	switch what {
	case failsNow, isRefused:
		return failed
	case failsLater:
		w.pending = append(w.pending, failed)
		return nil
	}
	w.pid++
	p := &proc{ref: e.Copy.Ref, pid: w.pid, limit: limit}
	if w.fate.children != nil {
		p.children = w.fate.children()
		p.group = p.children / 2
	}
	w.procs[id] = p
	w.note("spawn", e.Copy.Ref)
	return Spawned{Copy: e.Copy, PID: p.pid}
}

// hardOf is the deadline of a run by the last that was told of it, and of the leases.
func (w *world) hardOf(id string) deadline.Deadline {
	r := w.c.byID[id]
	return r.fence.hard
}

func (w *world) signal(ref keeper.Ref, what string, group, dies bool) Event {
	w.note(what, ref)
	w.act()
	p := w.procs[ref.ID]
	if p == nil || p.pid == 0 && !p.zombie {
		w.t.Fatalf("%s of %s, which has no main process: %+v\n%s", what, ref.ID, p, w.story())
	}
	if w.fate.signal != nil && w.fate.signal() {
		return SignalFailed{Ref: ref, Text: "cannot signal"}
	}
	if dies {
		w.die(p, -1)
	}
	if group && dies {
		p.children -= p.group
		p.group = 0
	}
	return nil
}

// act takes the time that an act takes.
func (w *world) act() {
	if w.fate.actTakes != nil {
		w.pass(w.fate.actTakes())
	}
}

func (w *world) look(e Look) Event {
	p := w.procs[e.Copy.ID]
	l := Looked{Look: e, Gone: p == nil || p.children == 0 || e.Group && p.group == 0}
	if l.Gone {
		w.gone = append(w.gone, l)
	}
	if w.fate.stale != nil && w.fate.stale() && len(w.gone) > 0 && w.gone[0].Look != e {
		w.pending = append(w.pending, w.gone[0])
	}
	return l
}

// die ends a main process; the core hears of it in the next turn.
func (w *world) die(p *proc, status int) {
	if p.pid == 0 {
		return
	}
	w.pending = append(w.pending, Exited{Ref: p.ref, PID: p.pid, Status: status})
	p.pid, p.zombie = 0, true
}

// kill ends a main process and one child: it takes more than one to kill several.
func (w *world) kill(p *proc) {
	w.act()
	if p == nil {
		return
	}
	w.die(p, -1)
	p.children = max(p.children-1, 0)
	p.group = min(p.group, p.children)
}

func (w *world) leave(e LeaveAlone) {
	var err error
	if w.fate.leave != nil {
		err = w.fate.leave()
	}
	if err == nil {
		delete(w.procs, e.Copy.ID)
	}
	w.pending = append(w.pending, LeftAlone{Copy: e.Copy, Err: err})
}
