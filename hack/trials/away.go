package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// shortAbsence is how long etcd is away where nobody says how long: until all has ended that ends because of it, and some time.
const shortAbsence = 35 * time.Second

// absence is a fleet whose etcd is away, and what is found out about it.
type absence struct {
	*stage
	f    *fleet.Fleet
	m1   *cluster.Node
	from time.Time // since when etcd is silent
	// wrong are the words that were not true, by what was promised of them.
	wrong map[string][]string
	asked int
}

// What is promised of the words.
const (
	tellsAge    = "status says for how long etcd is silent"
	tellsLife   = "what status says of a process is so"
	tailWorks   = "distsuperagent tail shows what a process prints now"
	logTells    = "the agent's log tells of the loss"
	ctlIsTrue   = "distsuperctl claims nothing that it cannot know"
	isQuick     = "every command answers within 10 s"
	keeperAlone = "without an agent the keeper's word is the same"
)

// away takes etcd away, with the only controller, and asks every command again and again.
func away(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 2)
	if err != nil {
		return err
	}
	defer f.Close()
	a := &absence{stage: s, f: f, m1: f.Machines[0], wrong: map[string][]string{}}
	if err := a.load(ctx); err != nil {
		return err
	}
	f.Controllers[0].Signal(unix.SIGSTOP)
	a.from = time.Now()
	a.askAll(ctx)
	a.stopOne(ctx)
	f.Controllers[0].Signal(unix.SIGCONT)
	for _, promise := range []string{tellsAge, tellsLife, tailWorks, logTells, ctlIsTrue, isQuick, keeperAlone} {
		wrong := a.wrong[promise]
		seen := fmt.Sprintf("in %d rounds", a.asked)
		if len(wrong) > 0 {
			seen = fmt.Sprintf("%d times not, at first: %s", len(wrong), wrong[0])
		}
		s.found(promise, a.asked > 0 && len(wrong) == 0, "%s", seen)
	}
	a.afterwards(ctx)
	return s.once(f)
}

// load starts what is to be watched: two processes on m1 that end without etcd, two that go on, one that prints, and one on m2.
func (a *absence) load(ctx context.Context) error {
	on := func(machine string, policy api.OnPartition, p api.Program) api.Program {
		p.Machines, p.OnPartition, p.TouchTimeout, p.Autostart = []string{machine}, policy, 5, true
		p.OnStoreOutage = api.OutageStop // with etcd away, its end is what is watched
		return p
	}
	programs := []api.Program{
		on("m1", api.PartitionStop, a.f.Witness("s1", "-beat", "100ms")), on("m1", api.PartitionStop, a.f.Witness("s2", "-beat", "100ms")),
		on("m1", api.PartitionKeep, a.f.Witness("k1", "-beat", "100ms")), on("m1", api.PartitionKeep, a.f.Witness("k2", "-beat", "100ms")),
		on("m2", api.PartitionStop, a.f.Witness("other", "-beat", "100ms")),
		on("m1", api.PartitionKeep, client.Program("loud", `/bin/sh -c "while :; do date +%%s; sleep 1; done"`)),
	}
	for _, p := range programs {
		if _, err := a.f.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	return fleet.Until(ctx, patience, "all run", a.f.Where(ctx, len(programs), fleet.Runs))
}

// askAll asks everything again and again until etcd was away for long enough. After the first round m2 loses its agent, too.
func (a *absence) askAll(ctx context.Context) {
	lasts := a.Away
	if lasts == 0 {
		lasts = shortAbsence
	}
	alone := false
	for ctx.Err() == nil && time.Since(a.from) < min(8*time.Second, lasts) { // here most changes
		a.askStatus(ctx, a.m1, tellsLife)
		pause(ctx, 200*time.Millisecond)
	}
	for ctx.Err() == nil && time.Since(a.from) < lasts {
		next := time.Now().Add(min(10*time.Second, lasts/7))
		a.asked++
		a.askStatus(ctx, a.m1, tellsLife)
		if alone {
			a.askStatus(ctx, a.f.Machines[1], keeperAlone)
		}
		a.askLogs(ctx)
		a.askFleet(ctx)
		if !alone {
			a.f.Machines[1].Signal(unix.SIGKILL, "distsuperagent run")
			alone = true
		}
		pause(ctx, time.Until(next))
	}
	a.askStatus(ctx, a.f.Machines[1], keeperAlone)
}

// not notes that a promise was not held.
func (a *absence) not(promise, format string, args ...any) {
	after := time.Since(a.from).Round(100 * time.Millisecond)
	a.wrong[promise] = append(a.wrong[promise], fmt.Sprintf("after %v: ", after)+fmt.Sprintf(format, args...))
}

// run runs a command, which has to be quick.
func (a *absence) run(ctx context.Context, n *cluster.Node, program string, args ...string) cluster.Result {
	r := n.Run(ctx, program, args...)
	if r.Took > 10*time.Second {
		a.not(isQuick, "%s %s took %v", program, strings.Join(args, " "), r.Took.Round(100*time.Millisecond))
	}
	return r
}

// agentStatus is what is read of `distsuperagent status -l --json`.
type agentStatus struct {
	Running   bool            `json:"running"`
	Contact   contact.Contact `json:"contact"`
	Processes []rpc.Run       `json:"processes"`
}

// askStatus looks whether what a machine's status says is so. What has changed between the asking and the look is asked once more.
func (a *absence) askStatus(ctx context.Context, n *cluster.Node, promise string) {
	wrong := a.statusErrors(ctx, n)
	if len(wrong) > 0 {
		wrong = a.statusErrors(ctx, n)
	}
	for _, w := range wrong {
		a.not(promise, "%s", w)
	}
}

// statusErrors is what is not so of a machine's status; what it says of etcd is noted.
func (a *absence) statusErrors(ctx context.Context, n *cluster.Node) (wrong []string) {
	before := time.Since(a.from)
	r := a.run(ctx, n, "distsuperagent", "status", "-l", "--json")
	after := time.Since(a.from)
	var s agentStatus
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil || len(s.Processes) == 0 {
		return []string{fmt.Sprintf("status: exit %d, %q %s", r.Code, r.Stdout, r.Stderr)}
	}
	// The last answer was there some time before etcd fell silent: renewals have their interval.
	if age := s.Contact.Since(); age < before-100*time.Millisecond || age > after+3*time.Second {
		a.not(tellsAge, "on %s it says %s, it is %v", n.Name, s.Contact.Etcd(), before.Round(100*time.Millisecond))
	}
	if silent := s.Contact.State == contact.StateSilent || s.Contact.State == contact.StateUnasked; before > 2*time.Second && !silent {
		a.not(tellsAge, "on %s it says %s", n.Name, s.Contact.Etcd())
	}
	copies, err := a.f.Copies()
	if err != nil {
		return []string{err.Error()}
	}
	for _, p := range s.Processes {
		if w := untrue(p, copies); w != "" {
			wrong = append(wrong, w)
		}
	}
	return wrong
}

// untrue is what is said of a process and is not so; "" where all is, or it does not testify.
func untrue(p rpc.Run, copies []witness.Copy) string {
	of := func(c witness.Copy) bool { return c.Process == p.ID }
	lives := slices.ContainsFunc(copies, func(c witness.Copy) bool { return of(c) && alive(c) })
	switch {
	case !slices.ContainsFunc(copies, of):
		return ""
	case p.Fate == contact.Fenced && lives:
		return p.ID + " is said to be stopped, and lives"
	case p.State == api.Running && !lives && unix.Kill(p.PID, 0) != nil:
		return fmt.Sprintf("%s is said to run under pid %d, which is dead", p.ID, p.PID)
	case p.Fate == contact.Fenced && !strings.Contains(p.Reason, "no renewal from etcd for "):
		return fmt.Sprintf("%s was stopped, and the reason given is %q", p.ID, p.Reason)
	}
	return ""
}

// alive: it has just beaten.
func alive(c witness.Copy) bool {
	return !c.Ended && time.Duration(witness.Now()-c.Last) < 2*time.Second && unix.Kill(c.PID, 0) == nil
}
