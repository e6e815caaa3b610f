package fencing

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/proxy"
	"github.com/distsuper/distsuper/test/witness"
)

// victim is a machine that is about to be lost while its processes live.
type victim struct {
	*cluster.Node
	world *world
	proxy *proxy.Proxy // nil: it reaches etcd directly
}

// loss is a way to lose a machine whose processes live on. heal, where there is one, lets what is left of it return.
type loss struct {
	name  string
	cut   bool // by a proxy
	begin func(v *victim)
	heal  func(v *victim)
}

var (
	agentStopped = loss{name: "agent-stopped",
		begin: func(v *victim) { v.world.signal(v.Node, unix.SIGSTOP, agentProcess) },
		heal:  func(v *victim) { v.world.signal(v.Node, unix.SIGCONT, agentProcess) }}
	agentKilled = loss{name: "agent-killed",
		begin: func(v *victim) { v.world.signal(v.Node, unix.SIGKILL, agentProcess) },
		heal:  func(v *victim) { v.world.must(v.Node, "distsuperagent", "start") }}
	agentCutOff = loss{name: "agent-cut-off", cut: true,
		begin: func(v *victim) { v.proxy.Cut() },
		heal:  func(v *victim) { v.proxy.Heal() }}
	bothStopped = loss{name: "both-stopped",
		begin: func(v *victim) { v.world.signal(v.Node, unix.SIGSTOP, agentProcess, keeperProcess) },
		heal:  func(v *victim) { v.world.signal(v.Node, unix.SIGCONT, agentProcess) }}
	keeperStopped = loss{name: "keeper-stopped", // for good: its own timer ends it
		begin: func(v *victim) { v.world.signal(v.Node, unix.SIGSTOP, keeperProcess) }}
	keeperKilled = loss{name: "keeper-killed",
		begin: func(v *victim) { v.world.signal(v.Node, unix.SIGKILL, keeperProcess) }}
	guardianKilled = loss{name: "guardian-killed", // with the keeper: the next keeper is the killer in line
		begin: func(v *victim) { v.world.signal(v.Node, unix.SIGKILL, guardianProcess, keeperProcess) }}
)

// fences are the losses after which only deadlines stand between an old copy and a new one.
var fences = []loss{agentStopped, agentKilled, agentCutOff, bothStopped}

// victim starts a machine that a loss can befall.
func (w *world) victim(l loss) *victim {
	v := &victim{world: w}
	if l.cut {
		v.proxy = w.proxy()
	}
	v.Node = w.machine(l.name, v.proxy)
	return v
}

// TestTheOldCopyIsDeadBeforeTheNewOneStarts takes machines away, each in another way, while TERM-ignoring processes and
// their grandchildren live there, and lets what is left of each machine return afterwards.
func TestTheOldCopyIsDeadBeforeTheNewOneStarts(t *testing.T) {
	t.Parallel()
	loseEach(t, []int{2, 5}, append([]loss{keeperStopped, keeperKilled, guardianKilled}, fences...))
}

// TestTheOldCopyIsDeadBeforeTheNewOneStartsWithoutCgroups is the same where a keeper knows what it started by
// parentage, session and environment only.
func TestTheOldCopyIsDeadBeforeTheNewOneStartsWithoutCgroups(t *testing.T) {
	t.Parallel()
	loseEach(t, []int{2}, []loss{agentStopped, bothStopped, keeperKilled, guardianKilled}, "DISTSUPER_NO_CGROUPS=1")
}

// loseEach makes a world with a machine for each loss, and on it a process for each touch_timeout.
func loseEach(t *testing.T, timeouts []int, losses []loss, env ...string) {
	w := newWorld(t, &fenced, "", env...)
	victims, subjects := map[string]*victim{}, map[string][]*subject{}
	for _, l := range losses {
		victims[l.name] = w.victim(l)
		w.holdsBy(victims[l.name].Node, len(env) == 0)
		for _, timeout := range timeouts {
			name := l.name + "-" + string(rune('0'+timeout))
			subjects[l.name] = append(subjects[l.name], w.run(name, timeout, api.PartitionStop, l.name, "spare"))
		}
	}
	w.machine("spare", nil) // only now, so that every process is where it is to be lost
	for _, l := range losses {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			v := *victims[l.name]
			v.world = w.in(t)
			lose(t, l, &v, subjects[l.name])
		})
	}
}

func lose(t *testing.T, l loss, v *victim, subjects []*subject) {
	var old []witness.Copy
	for _, s := range subjects {
		s.world = v.world
		c, _ := s.awaitRunning()
		old = append(old, c)
	}
	began := witness.Now()
	l.begin(v)
	for i, s := range subjects {
		next := s.awaitSuccessor(began)
		s.report(old[i], next, began)
		s.judge()
	}
	if l.heal != nil {
		l.heal(v)
	}
	v.world.awaitLive(v.Name, true)
	for _, s := range subjects { // the returned agent has looked, and changed nothing for the worse
		s.awaitRunning()
		s.judge()
	}
}

// TestTwoCopiesAreSeenWhenKeepersEnforceNoDeadline is the counter-proof: what the other tests rule out is what they
// would see without fencing, with the same processes, losses and judge.
func TestTwoCopiesAreSeenWhenKeepersEnforceNoDeadline(t *testing.T) {
	t.Parallel()
	w := newWorld(t, &unfenced, "")
	victims, subjects := map[string]*victim{}, map[string]*subject{}
	for _, l := range fences {
		victims[l.name] = w.victim(l)
		subjects[l.name] = w.run(l.name, 2, api.PartitionStop, l.name, "spare")
	}
	w.machine("spare", nil)
	for _, l := range fences {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			v, s := *victims[l.name], *subjects[l.name]
			v.world = w.in(t)
			s.world = v.world
			s.awaitRunning()
			began := witness.Now()
			l.begin(&v)
			s.awaitSuccessor(began)
			within(t, 5*time.Second, func() (bool, string) {
				return s.verdict() != "", "without fencing the judge still finds one copy only: it would not see a failure"
			})
			t.Log(s.verdict())
		})
	}
}
