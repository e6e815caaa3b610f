package fencing

import (
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/witness"
)

// Both parts of a copy testify below a folder of their own: they are no two copies of each other.
const (
	mainPart  = "main"
	childPart = "grandchild"
)

// subject is a process under test.
type subject struct {
	world        *world
	name         string
	touchTimeout int
	dir          string
}

func (s *subject) timeout() time.Duration { return time.Duration(s.touchTimeout) * time.Second }

// read returns what the copies testified, of one part.
func (s *subject) read(part string) []witness.Copy {
	s.world.t.Helper()
	copies, err := witness.Read(filepath.Join(s.dir, part))
	if err != nil {
		s.world.t.Fatal(err)
	}
	return copies
}

// last is the main process that started last.
func (s *subject) last() (witness.Copy, bool) {
	copies := s.read(mainPart)
	if len(copies) == 0 {
		return witness.Copy{}, false
	}
	return copies[len(copies)-1], true
}

func alive(c witness.Copy) bool {
	return !c.Ended && unix.Kill(c.PID, 0) == nil && time.Duration(witness.Now()-c.Last) < time.Second
}

// state is the process as the store has it.
func (s *subject) state() client.Process {
	s.world.t.Helper()
	if p := s.world.look().Process(s.name); p != nil {
		return *p
	}
	return client.Process{Name: s.name}
}

// awaitRunning waits until the store says RUNNING of the very copy that testifies, and returns both.
func (s *subject) awaitRunning() (witness.Copy, client.Process) {
	s.world.t.Helper()
	var c witness.Copy
	var p client.Process
	eventually(s.world.t, func() (bool, string) {
		p = s.state()
		c, _ = s.last()
		ok := p.State == api.Running && p.Live && p.Touch != nil && p.Status != nil &&
			p.Status.PID == c.PID && p.Owner.Machine == c.Machine && alive(c)
		return ok, fmt.Sprintf("%s should run: the store has %v %q, owner %+v, status %+v; the last copy is %+v, alive: %v",
			s.name, p.State, p.Text, p.Owner, p.Status, c, alive(c))
	})
	return c, p
}

// awaitSuccessor waits for a copy that started after a moment of witness.Now, and until it has lived for so long that
// an older copy would have given a sign of life beside it.
func (s *subject) awaitSuccessor(after int64) witness.Copy {
	s.world.t.Helper()
	var c witness.Copy
	within(s.world.t, s.timeout()+patience, func() (bool, string) {
		c, _ = s.last()
		return c.Start > after && c.Last-c.Start > int64(300*time.Millisecond),
			fmt.Sprintf("%s does not run again; the last copy is %+v; the store has %+v", s.name, c, s.state().Owner)
	})
	return c
}

// judge fails the test when two copies ever lived at once, or anything of an older copy beside a newer one.
func (s *subject) judge() {
	s.world.t.Helper()
	if verdict := s.verdict(); verdict != "" {
		s.world.t.Error(verdict)
	}
}

// verdict is what the testimonies say against the promise; "" for nothing.
func (s *subject) verdict() string {
	mains, children := s.read(mainPart), s.read(childPart)
	for _, part := range [][]witness.Copy{mains, children} {
		if most, pair := witness.MaxCopies(part); most > 1 {
			return fmt.Sprintf("%d copies of %s lived at once: %+v and, from %v before its last sign of life, %+v",
				most, s.name, pair[0], time.Duration(pair[0].Last-pair[1].Start), pair[1])
		}
	}
	for _, m := range mains {
		for _, c := range children {
			if m.Token == c.Token && m.Machine == c.Machine {
				continue // of one run: which of both came first does not matter
			}
			if c.Start < m.Start && c.Last >= m.Start || m.Start < c.Start && m.Last >= c.Start {
				return fmt.Sprintf("%+v of %s and the grandchild %+v of another run lived at once", m, s.name, c)
			}
		}
	}
	return ""
}

// report logs what became of an old copy and how long it took until the next one ran.
func (s *subject) report(old, next witness.Copy, began int64) {
	s.world.t.Helper()
	mains := s.read(mainPart)
	for _, c := range mains { // read again: it lived on after old was read
		if c.PID == old.PID && c.Start == old.Start {
			old = c
		}
	}
	took, bound := time.Duration(next.Start-began), s.timeout()+time.Second
	s.world.t.Logf("%s: last sign of life on %s after %v, first instruction on %s after %v (bound %v)", s.name, old.Machine,
		time.Duration(old.Last-began).Round(time.Millisecond), next.Machine, took.Round(time.Millisecond), bound)
	if took > bound {
		s.world.t.Logf("%s: that is late by %v; on a busy host it can be", s.name, (took - bound).Round(time.Millisecond))
	}
}

// life is what a process notices of its being supervised.
type life struct {
	copy    witness.Copy
	started time.Time
	starts  int
	token   int64
}

func (s *subject) life() life {
	s.world.t.Helper()
	c, p := s.awaitRunning()
	return life{copy: c, started: p.Status.Started, starts: p.Status.Starts, token: p.Owner.Token}
}

// unchanged fails the test unless the process lives as it did: same copy, start time, count and token.
func (s *subject) unchanged(before life) {
	s.world.t.Helper()
	now := s.life()
	if now.copy.PID != before.copy.PID || now.copy.Start != before.copy.Start || !now.started.Equal(before.started) ||
		now.starts != before.starts || now.token != before.token {
		s.world.t.Errorf("%s noticed something: it was %+v and is %+v", s.name, before, now)
	}
	if n := len(s.read(mainPart)); n != 1 {
		s.world.t.Errorf("%s had %d copies instead of one", s.name, n)
	}
}

// signal sends a signal to some of a node's processes, of which there must be some.
func (w *world) signal(n *cluster.Node, sig unix.Signal, names ...string) {
	w.t.Helper()
	if n.Signal(sig, names...) == 0 {
		w.t.Fatalf("%s has no process %v to signal", n.Name, names)
	}
}
