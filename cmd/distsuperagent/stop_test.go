package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/rpc"
)

func TestStopSaysWhatTheAgentStillWaitsFor(t *testing.T) {
	for _, c := range []struct {
		health rpc.Health
		want   string
	}{
		{rpc.Health{Processes: 3}, ""}, // it leaves them to the keeper
		{rpc.Health{Draining: true}, ""},
		{rpc.Health{Draining: true, Processes: 1}, "1 process is not released yet"},
		{rpc.Health{Draining: true, Processes: 3}, "3 processes are not released yet"},
		{rpc.Health{Draining: true, Processes: 3, Problem: "etcd is full"}, "etcd is full"},
		{rpc.Health{Draining: true, Processes: 3, Contact: &contact.Contact{State: contact.StateSilent, SinceMillis: 3000}}, "etcd silent for 3.0 s"},
	} {
		if got := waitingFor(c.health); got != c.want {
			t.Errorf("%+v: %q, want %q", c.health, got, c.want)
		}
	}
}

func TestStopFailsForWhatItCouldNotDo(t *testing.T) {
	runs := []keeper.Run{{ID: "web"}, {ID: "db", Done: true}}
	for _, c := range []struct {
		name           string
		o              stopOptions
		running, says  string
		untold, silent string
	}{
		{"stop leaves what runs to the keeper", stopOptions{}, "[web]", "", "[]", "db"},
		{"a drain that was cut short", stopOptions{drain: true}, "[web]", "web: not stopped", "[db]", "web, db"},
		{"everything stopped, and nobody told", stopOptions{all: true}, "[]", "db and web: stopped, but etcd could not be told", "[db web]", "not stopped"},
	} {
		var s stopped
		s.sort(runs, c.o)
		err := fmt.Sprint(s.failure(c.o, "m1"))
		if fmt.Sprint(s.Running) != c.running || fmt.Sprint(s.Untold) != c.untold || !strings.Contains(err, c.says) || strings.Contains(err, c.silent) {
			t.Errorf("%s: %+v: %s", c.name, s, err)
		}
	}
}

func TestStopOfNamesChoosesWhatLivesHere(t *testing.T) {
	of := func(group, name string) keeper.Run {
		p := api.Process{Group: group, Name: name}
		return keeper.Run{ID: p.ID(), Token: 7, Process: p}
	}
	runs := []keeper.Run{of("db", "db"), of("web", "web_1"), of("web", "web_2"), {ID: "job", Done: true}}
	for _, c := range []struct{ names, want, err string }{
		{"db", "db", ""},
		{"web:* db web:web_1", "db web:web_1 web:web_2", ""},
		{"web", "", "web: this machine does not run it"},
		{"job", "", "job: this machine does not run it"},
		{"nope:*", "", "nope:*: this machine does not run it"},
	} {
		refs, err := chosen(runs, strings.Fields(c.names))
		var got []string
		for _, r := range refs {
			got = append(got, r.ID)
		}
		if strings.Join(got, " ") != c.want || (c.err == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.err) {
			t.Errorf("%s: %q, %v", c.names, got, err)
		}
	}
}

func TestStopOfNamesSaysWhatTheFleetKnows(t *testing.T) {
	for _, c := range []struct {
		state contact.State
		want  string
	}{
		{contact.StateAnswers, "What is stopped so stays stopped"},
		{contact.StateSilent, "The fleet does not know that yet (etcd silent for 41 s) and is told when etcd answers."},
		{contact.StateUnasked, "The fleet does not know that yet (etcd answered last 41 s ago, and no agent asks it now) and is told when an agent is started and etcd answers it."},
	} {
		if got := (contact.Contact{State: c.state, SinceMillis: 41000}).AfterStop(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.state, got)
		}
	}
}
