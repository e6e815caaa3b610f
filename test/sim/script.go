package sim

import (
	"fmt"
	"slices"
	"time"
)

// Script is a story that somebody has written, where random faults would take long to come to it. Play directs a World, in which
// nothing has happened yet: with Pass and Await it lets time pass, and in between it does what is to happen. The promises are looked at
// all the time.
type Script struct {
	Name   string
	Config Config
	Play   func(w *World)
}

// NotAsScripted is the promise of a script that something comes to be.
const NotAsScripted = "the script comes to its end"

// RunScript plays it.
func RunScript(s Script, story bool) Result {
	s.Config.Story = story
	w := New(s.Config)
	defer w.Close()
	s.Play(w)
	return Result{Tale: Tale{Seed: s.Config.Seed}, Broken: w.broken, Story: w.story, Steps: w.steps, Time: w.now}
}

// Pass lets time pass.
func (w *World) Pass(d time.Duration) { w.Run(w.now + d) }

// Await lets time pass until cond holds; that it does not within most is a violation.
func (w *World) Await(what string, most time.Duration, cond func() bool) {
	if !w.RunUntil(most, cond) && w.broken == nil {
		w.violate(NotAsScripted, "not within %v: %s", most, what)
	}
}

// AwaitRun lets time pass until a process lives on a machine, "" for any.
func (w *World) AwaitRun(process, machine string, most time.Duration) {
	w.Await(fmt.Sprintf("%s runs on %q", process, machine), most, func() bool {
		on := w.Alive(process)
		return on != "" && (machine == "" || on == machine)
	})
}

// Host is the one of that name, of a controller, a machine, a member of etcd or "ctl". It panics where there is none.
func (w *World) Host(name string) *Host {
	for _, h := range w.hosts {
		if h.Name == name {
			return h
		}
	}
	panic("sim: there is no host " + name)
}

// Split takes all messages away between the hosts of one side and those of the other.
func (w *World) Split(one, other []string) (end func()) {
	w.tell("net", "%v and %v are split", one, other)
	var ends []func()
	for _, a := range one {
		for _, b := range other {
			ends = append(ends, w.cutPair(w.Host(a), w.Host(b), true, true))
		}
	}
	return func() {
		w.tell("net", "%v and %v are together again", one, other)
		for _, end := range ends {
			end()
		}
	}
}

// Leader is the controller that leads as it believes, nil for none.
func (w *World) Leader() *Controller {
	for _, c := range w.Controllers {
		if c.Leading() {
			return c
		}
	}
	return nil
}

// Scripts are those that are kept, each for a reason.
var Scripts = slices.Concat(basicScripts, leaderScripts, moveScripts, courseScripts, boundScripts, fenceScripts, leaseScripts, promiseScripts, agentScripts,
	memberScripts, nameScripts, restoreScripts)

// basicScripts are the plainest stories.
var basicScripts = []Script{
	{Name: "a machine dies and its process runs elsewhere", Config: Config{Seed: 1}, Play: func(w *World) {
		w.Pass(2 * time.Second)
		w.Users.Create("web", Program{})
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(3 * time.Second)
		on := w.Machine(w.Alive("web"))
		on.PowerOff()
		w.AwaitRun("web", "", 7*time.Second)
	}},
	{Name: "a machine that is cut off ends its process before another starts it", Config: Config{Seed: 2}, Play: func(w *World) {
		w.Pass(2 * time.Second)
		w.Users.Create("web", Program{IgnoresTerm: true, Children: 2})
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(3 * time.Second)
		on := w.Alive("web")
		end := w.Split([]string{on}, []string{"e1", "e2", "e3", "d1", "d2"})
		w.Await("web runs elsewhere", 10*time.Second, func() bool { return w.Alive("web") != "" && w.Alive("web") != on })
		end()
		w.Pass(10 * time.Second)
	}},
	{Name: "etcd is away for ten minutes, and nothing stops", Config: Config{Seed: 3}, Play: func(w *World) {
		w.Pass(2 * time.Second)
		w.Users.Create("web", Program{})
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(30 * time.Second)
		for i := range w.Etcd.Members {
			w.Etcd.Crash(i)
		}
		w.Pass(10 * time.Minute)
		for i := range w.Etcd.Members {
			w.Etcd.Recover(i)
		}
		w.Pass(30 * time.Second)
		w.Await("web still is the first copy", 0, func() bool { return w.Alive("web") != "" && w.Starts("web") == 1 })
	}},
	{Name: "a machine that is held by promise dies, and its process runs elsewhere", Config: Config{Seed: 4}, Play: func(w *World) {
		w.Pass(2 * time.Second)
		w.Users.Create("web", Program{})
		w.AwaitRun("web", "", 5*time.Second)
		w.Pass(20 * time.Second)
		on := w.Alive("web")
		w.Split([]string{on}, []string{"e1", "e2", "e3"})
		w.Pass(20 * time.Second)
		w.Await("web is held where it is", 0, func() bool { return w.Alive("web") == on && w.Starts("web") == 1 })
		w.Machine(on).PowerOff()
		w.AwaitRun("web", "", 13*time.Second)
	}},
}
