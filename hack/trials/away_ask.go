package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/fleet"
)

// askLogs reads logs on m1.
func (a *absence) askLogs(ctx context.Context) {
	r := a.run(ctx, a.m1, "distsuperagent", "tail", "--bytes", "12", "loud")
	lines := strings.Fields(r.Stdout)
	var last int64
	if len(lines) > 0 {
		last, _ = strconv.ParseInt(lines[len(lines)-1], 10, 64)
	}
	if age := time.Since(time.Unix(last, 0)); r.Code != 0 || age > 10*time.Second {
		a.not(tailWorks, "exit %d: %q, %v old; %s", r.Code, r.Stdout, age.Round(time.Second), r.Stderr)
	}
	r = a.run(ctx, a.m1, "distsuperagent", "log", "--bytes", "20000")
	said := strings.Contains(r.Stdout, "etcd is silent")
	ended := strings.Contains(r.Stdout, "processes were stopped, since no renewal came from etcd")
	since := time.Since(a.from)
	if since > 6*time.Second && !said || since > 12*time.Second && !ended {
		a.not(logTells, "exit %d, of the loss: %v, of the ends: %v; %s", r.Code, said, ended, r.Stderr)
	}
}

// askFleet asks distsuperctl. What it cannot know it may say only as somebody else's word, or must fail.
func (a *absence) askFleet(ctx context.Context) {
	if time.Since(a.from) < 2*time.Second {
		return // an answer may be of the time before
	}
	for _, args := range [][]string{{"status"}, {"why", "s1"}, {"tail", "loud"}, {"stop", "s1"}} {
		r := a.run(ctx, a.m1, "distsuperctl", args...)
		marked := strings.Contains(r.Stdout+r.Stderr, "reported by the ")
		if r.Code == 0 && !marked || strings.Contains(r.Stdout, "RUNNING") && !marked {
			a.not(ctlIsTrue, "%s: exit %d, %s %s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
		}
	}
}

// stopOne stops a process by hand while etcd is away.
func (a *absence) stopOne(ctx context.Context) {
	r := a.m1.Run(ctx, "distsuperagent", "stop", "k2")
	status := a.m1.Run(ctx, "distsuperagent", "status", "-l")
	copies, err := a.f.Copies()
	lives := false
	for _, c := range copies {
		lives = lives || c.Process == "k2" && alive(c)
	}
	held := r.Code == 0 && err == nil && !lives && strings.Contains(r.Stdout, "is told when etcd answers") && strings.Contains(status.Stdout, "k2 has ended, and the fleet is told when etcd answers")
	a.found("distsuperagent stop NAME stops it, and says what the fleet knows", held, "exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
}

// afterwards looks how it is when etcd is back.
func (a *absence) afterwards(ctx context.Context) {
	_, err := a.f.Machines[1].Must(ctx, "distsuperagent", "start")
	a.found("an agent that died meanwhile comes back", err == nil, "%s", orElse(err, "distsuperagent start succeeded"))
	back := func(p client.Process) bool {
		return p.Name == "k2" && p.State == api.Stopped && strings.Contains(p.Text, "stopped on m1 by ") || p.Name != "k2" && fleet.Runs(p)
	}
	err = fleet.Until(ctx, patience, "all run again", a.f.Where(ctx, 6, back))
	a.found("all run again, and what was stopped by hand stays so", err == nil, "%s", orElse(err, "so it is"))
	a.history(ctx)
	a.log(ctx)
}

// history looks for the fence of a process: at its time, and told later.
func (a *absence) history(ctx context.Context) {
	var entries []api.HistoryEntry
	seen := "nothing"
	look := func() (bool, string) {
		r := a.m1.Run(ctx, "distsuperctl", "history", "s1", "--json")
		if err := json.Unmarshal([]byte(r.Stdout), &entries); err != nil {
			return false, err.Error()
		}
		for _, e := range entries {
			if e.What == "fenced" {
				seen = fmt.Sprintf("fenced after %v (%s), told after %v", e.At.Sub(a.from).Round(time.Second), e.Why, e.Told.Sub(a.from).Round(time.Second))
				return e.At.Sub(a.from) < 15*time.Second && e.Told.After(e.At.Add(10*time.Second)), seen
			}
		}
		return false, "no fence: " + r.Stdout
	}
	err := fleet.Until(ctx, patience, "the fence in the history", look)
	a.found("history says when a process was stopped, and when that was told", err == nil, "%s", orElse(err, seen))
}

// log looks for the return in the agent's log.
func (a *absence) log(ctx context.Context) {
	var said []string
	err := fleet.Until(ctx, patience, "the return in the log", func() (bool, string) {
		r := a.m1.Run(ctx, "distsuperagent", "log", "--bytes", "40000")
		said = nil
		for _, text := range []string{"etcd answers again", "processes that were stopped run again here"} {
			if strings.Contains(r.Stdout, text) {
				said = append(said, text)
			}
		}
		return len(said) == 2, r.Stdout
	})
	a.found("the agent's log tells of the return, and of what runs again", err == nil, "%s", orElse(err, strings.Join(said, "; ")))
}
