package fencing

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/witness"
)

// TestLongAnOutageOfEtcdStopsNothing: while all of etcd is refused, and while it is silent, for ten times as long as a lease lives,
// processes go on by promise of both controllers: the same copies, and not many writes when etcd is back. A machine that asks nobody
// meanwhile ends its processes within their leases, and they run elsewhere, once, after etcd's return. Ten minutes of it are the trial
// "outage" of hack/trials.
func TestLongAnOutageOfEtcdStopsNothing(t *testing.T) {
	gate.Long(t)
	server := etcdproc.Start(t, 1)
	member := server.Members[0]
	w := newWorld(t, &fenced, "http://"+member.Client)
	d2, err := w.Controller("d2")
	if err != nil {
		t.Fatal(err)
	}
	w.must(d2, "distsuperd", "start")
	m1 := w.machine("m1", nil)
	w.machine("m2", nil)
	const each = 5
	var subjects []*subject
	var lives []life
	for i := range each {
		s := w.holdable(fmt.Sprint("web", i), 3, "m2")
		subjects, lives = append(subjects, s), append(lives, s.life())
	}
	// One more that may run on both, and is on the machine that will be lost.
	lost := w.holdable("lost", 3, "m1", "m2")
	if c, _ := lost.last(); c.Machine != "m1" {
		if err := w.move(lost, "m1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, outage := range []struct {
		name       string
		begin, end func()
	}{
		{"refused", member.Kill, func() { member.Start(); server.Ready() }},
		{"silent", func() { member.Signal(unix.SIGSTOP) }, func() { member.Signal(unix.SIGCONT) }},
	} {
		t.Log("etcd is " + outage.name)
		old, _ := lost.awaitRunning()
		if outage.name == "silent" {
			w.signal(m1, unix.SIGSTOP, agentProcess) // it renews nothing, and asks nobody
		}
		before := w.revision()
		outage.begin()
		w.outlasts(30*time.Second, subjects[0], lives[0])
		if c, _ := lost.last(); outage.name == "silent" && alive(c) {
			t.Errorf("a process of a machine that asks nobody lives after 30 s: %+v", c)
		}
		returned := witness.Now()
		outage.end()
		for i, s := range subjects {
			s.awaitRunning()
			s.unchanged(lives[i])
		}
		if outage.name == "silent" {
			if next := lost.awaitSuccessor(returned); next.Machine != "m2" {
				t.Errorf("it runs on %s", next.Machine)
			}
		} else if c, _ := lost.awaitRunning(); c.PID != old.PID {
			t.Errorf("%+v took the place of %+v", c, old)
		}
		writes := w.revision() - before
		t.Logf("%d writes", writes)
		if most := int64(10 * (each + 1 + 4)); writes > most {
			t.Errorf("%d writes after an outage of %d processes, at most %d are expected", writes, each+1, most)
		}
	}
	w.signal(m1, unix.SIGCONT, agentProcess)
	for _, s := range append(subjects, lost) {
		s.judge()
	}
}

// revision is that of the store.
func (w *world) revision() int64 {
	w.t.Helper()
	kv, err := etcd.Open(w.t.Context(), etcd.Config{Endpoints: []string{w.endpoint}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer kv.Close()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	res, err := kv.Range(ctx, store.Range{Key: store.NewKeys("").Schema()})
	if err != nil {
		w.t.Fatal(err)
	}
	return res.Rev
}

// move moves a process, and waits until it runs there.
func (w *world) move(s *subject, machine string) error {
	w.t.Helper()
	if err := w.client.MoveProcess(w.t.Context(), s.name, machine); err != nil {
		return err
	}
	eventually(w.t, func() (bool, string) {
		c, _ := s.awaitRunning()
		return c.Machine == machine, fmt.Sprintf("%s runs on %s", s.name, c.Machine)
	})
	return nil
}
