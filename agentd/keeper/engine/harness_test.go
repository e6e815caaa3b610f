package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/proctest"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/test/gate"
)

// containments are the two ways of holding what a run starts; most tests run on both.
var containments = []string{"cgroup2", "subreaper"}

// onBoth runs a test with cgroups and with cgroups hidden.
func onBoth(t *testing.T, test func(t *testing.T, k *kept), env ...string) {
	for _, containment := range containments {
		t.Run(containment, func(t *testing.T) {
			t.Parallel()
			test(t, startKeeper(t, t.TempDir(), containment, env...))
		})
	}
}

// kept is a keeper process in the hands of a test.
type kept struct {
	t      testing.TB
	cmd    *exec.Cmd
	dir    string
	hello  keeper.Hello
	err    *lockedBuffer
	exited chan struct{} // closed when the process has ended; its status is in cmd then

	mu      sync.Mutex // guards what follows
	in      io.WriteCloser
	nextID  int
	waiting map[int]chan answer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// either is for tests that are about something else: cgroups where they can be had.
const either = ""

// startKeeper starts a keeper on a state directory. It is shut down with the test.
func startKeeper(t testing.TB, dir, containment string, env ...string) *kept {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &kept{t: t, dir: dir, err: &lockedBuffer{}, exited: make(chan struct{}), waiting: map[int]chan answer{}}
	k.cmd = exec.Command(exe)
	k.cmd.Env = append(os.Environ(), envRole+"=keeper", envState+"="+dir)
	if containment == "subreaper" {
		k.cmd.Env = append(k.cmd.Env, "DISTSUPER_NO_CGROUPS=1")
	}
	k.cmd.Env = append(k.cmd.Env, env...)
	k.cmd.Stderr = k.err
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go k.read(out)
	t.Cleanup(k.end)
	a := k.call(call{Method: "hello"})
	k.hello = a.Hello
	if k.hello.Containment != containment && containment != either {
		if containment == "cgroup2" {
			gate.Cannot(t, "cgroups cannot be used here: %s", k.err)
		}
		t.Fatalf("containment is %q, want %q\n%s", k.hello.Containment, containment, k.err)
	}
	return k
}

func (k *kept) read(out io.Reader) {
	dec := json.NewDecoder(out)
	for {
		var a answer
		if err := dec.Decode(&a); err != nil {
			break
		}
		k.mu.Lock()
		c := k.waiting[a.ID]
		delete(k.waiting, a.ID)
		k.mu.Unlock()
		if c != nil {
			c <- a
		}
	}
	k.cmd.Wait()
	close(k.exited)
}

// end shuts a keeper down that still runs.
func (k *kept) end() {
	k.cmd.Process.Signal(unix.SIGCONT)
	k.cmd.Process.Signal(unix.SIGTERM)
	select {
	case <-k.exited:
	case <-time.After(proctest.Patience):
		k.cmd.Process.Kill()
		<-k.exited
		k.t.Errorf("the keeper did not end on TERM")
	}
	if k.t.Failed() {
		k.t.Logf("the keeper said:\n%s", tail(k.err.String()))
	}
}

// last makes the call with which the keeper ends, perhaps before it can answer, and waits for the end.
func (k *kept) last(c call) {
	k.t.Helper()
	k.send(c)
	select {
	case <-k.exited:
	case <-time.After(proctest.Patience):
		k.t.Fatalf("%s: the keeper has not ended\n%s", c.Method, k.err)
	}
}

func (k *kept) send(c call) <-chan answer {
	k.t.Helper()
	answered := make(chan answer, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.nextID++
	c.ID = k.nextID
	k.waiting[c.ID] = answered
	if err := json.NewEncoder(k.in).Encode(c); err != nil {
		k.t.Fatalf("%s: %v\n%s", c.Method, err, k.err)
	}
	return answered
}

func (k *kept) call(c call) answer {
	k.t.Helper()
	answered := k.send(c)
	select {
	case a := <-answered:
		return a
	case <-k.exited:
		k.t.Fatalf("%s: the keeper has ended: %v\n%s", c.Method, k.cmd.ProcessState, k.err)
	case <-time.After(proctest.Patience):
		k.t.Fatalf("%s: no answer\n%s", c.Method, k.err)
	}
	return answer{}
}

func (a answer) err() error {
	switch {
	case a.Error == "":
		return nil
	case a.Kind != "":
		return fmt.Errorf("%s: %w", a.Error, sentinels[a.Kind])
	default:
		return fmt.Errorf("%s", a.Error)
	}
}

// must makes a call that may not fail.
func (k *kept) must(c call) answer {
	k.t.Helper()
	a := k.call(c)
	if err := a.err(); err != nil {
		k.t.Fatalf("%s: %v", c.Method, err)
	}
	return a
}

// program is a process with supervisor's defaults that runs a shell script.
func program(name, script string) api.Process {
	return api.Process{Group: name, Name: name, Program: name, GroupPriority: 999, Settings: api.Settings{
		Command: script, Shell: true, Priority: 999, StartSecs: 0, StartRetries: 3,
		Autorestart: api.RestartUnexpected, ExitCodes: []int{0}, StopSignal: "TERM", StopWaitSecs: 10,
		Stdout: api.Log{File: api.LogAuto}, Stderr: api.Log{File: api.LogAuto}, TouchTimeout: 5,
	}}
}

// keep is a request for a run without a deadline.
func keep(p api.Process) keeper.StartRequest {
	return keeper.StartRequest{Token: 7, Process: p, OnPartition: api.PartitionKeep,
		Env: map[string]string{"DISTSUPER_MACHINE": "m1"}}
}

func (k *kept) start(r keeper.StartRequest) keeper.Ref {
	k.t.Helper()
	k.must(call{Method: "start", Start: r})
	return keeper.Ref{ID: r.Process.ID(), Token: r.Token}
}

// look returns what the keeper says of a process now.
func (k *kept) look(id string) (keeper.Run, bool) {
	k.t.Helper()
	for _, r := range k.must(call{Method: "changes"}).Snapshot.Runs {
		if r.ID == id {
			return r, true
		}
	}
	return keeper.Run{}, false
}

// await waits until a process is as wanted, and returns it.
func (k *kept) await(id, what string, ok func(keeper.Run) bool) keeper.Run {
	k.t.Helper()
	var last keeper.Run
	proctest.Eventually(k.t, func() (bool, string) {
		last, _ = k.look(id)
		return ok(last), fmt.Sprintf("%s is not %s: %+v", id, what, last)
	})
	return last
}

func (k *kept) awaitState(id string, s api.State) keeper.Run {
	k.t.Helper()
	return k.await(id, s.String(), func(r keeper.Run) bool { return r.State == s })
}

func (k *kept) awaitDone(id string) keeper.Run {
	k.t.Helper()
	return k.await(id, "done", func(r keeper.Run) bool { return r.Done })
}

// lease makes a lease that ends after d from now.
func lease(id, ttl int64, d time.Duration) keeper.Lease {
	now := deadline.Now(clock.Real{})
	return keeper.Lease{ID: id, TTL: ttl, Deadline: deadline.Deadline{
		Boot: int64(now.Boot) + int64(d), Raw: now.Raw + int64(d)}}
}

// leased is a request for a run on a lease.
func leased(p api.Process, id int64) keeper.StartRequest {
	r := keep(p)
	r.OnPartition, r.Leases = api.PartitionStop, []int64{id}
	return r
}

// tail returns the end of a long text.
func tail(text string) string { return text[max(0, len(text)-4000):] }
