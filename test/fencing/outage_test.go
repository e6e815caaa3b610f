package fencing

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/etcdproc"
)

// TestEtcdOutages: one that is shorter than the deadlines is noticed by nobody. A longer one ends what other machines
// could take over, but never what only one machine can run.
func TestEtcdOutages(t *testing.T) {
	t.Parallel()
	etcd := etcdproc.Start(t, 1)
	member := etcd.Members[0]
	w := newWorld(t, &fenced, "http://"+member.Client)
	w.machine("m1", nil)
	w.machine("m2", nil)
	shared := w.run("shared", 8, api.PartitionUnset, "m1", "m2")
	only := w.run("only", 2, api.PartitionUnset, "m1")
	sharedLife, onlyLife := shared.life(), only.life()

	t.Log("etcd is silent for less than a deadline")
	member.Signal(unix.SIGSTOP)
	time.Sleep(1500 * time.Millisecond) // the outage
	member.Signal(unix.SIGCONT)
	shared.unchanged(sharedLife)
	only.unchanged(onlyLife)

	t.Log("etcd is silent for longer than every deadline")
	member.Signal(unix.SIGSTOP)
	w.outlasts(9*time.Second, only, onlyLife)
	member.Signal(unix.SIGCONT)
	only.unchanged(onlyLife)
	shared.awaitRunning()
	shared.judge()

	t.Log("etcd is down for longer than every deadline")
	member.Kill()
	w.outlasts(9*time.Second, only, onlyLife)
	member.Start()
	etcd.Ready()
	only.unchanged(onlyLife)
	only.judge()
	shared.awaitRunning()
	shared.judge()
}

// outlasts fails the test unless a copy gives signs of life during the whole of an outage.
func (w *world) outlasts(outage time.Duration, s *subject, l life) {
	w.t.Helper()
	for end := time.Now().Add(outage); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if c, ok := s.last(); !ok || c.PID != l.copy.PID || !alive(c) {
			w.t.Fatalf("%s did not live through the outage: %+v", s.name, c)
		}
	}
}
