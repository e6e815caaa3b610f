package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/sentences"
)

// exitCodes runs one command line after the other on a fleet in which something of everything happens, and returns each with
// its exit code. reads makes of the store what distsuperctl reads.
func exitCodes(t *testing.T, reads func(store.KV) store.KV) (codes []string) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("good", nil), program("absent", nil), program("locked", nil), program("tired", func(p *api.Program) { p.StartRetries = 0 }),
			program("job", func(p *api.Program) { p.StartSecs, p.Autorestart = 0, api.RestartNever }),
			program("nowhere", func(p *api.Program) { p.Machines = []string{"zone=q"} }), copies("web", 2))
		for _, m := range f.boxes {
			m.keeper.Refuse("absent", api.FaultNoFile, "can't find command '/x'")
			m.keeper.Refuse("locked", api.FaultNotExecutable, "command at '/x' is not executable")
		}
		f.reads = reads(f.kv)
		run := func(lines ...string) {
			for _, line := range lines {
				codes = append(codes, fmt.Sprintf("%s: %d", line, f.ctl(strings.Fields(line)...).code))
			}
		}
		run("status", "start absent", "start locked", "start nowhere", "start good none:*", "start godo", "start", "start good", "start web:*",
			"start all --timeout 10s", "status good", "status nope", "pid good", "pid absent")
		go func() {
			time.Sleep(500 * time.Millisecond)
			for _, m := range f.boxes {
				_ = m.keeper.GoFatal("tired")
			}
		}()
		run("start tired", "move good", "move good "+f.machineOf("good"), "move good m9", "move nope", "move job", "cordon m1", "cordon m1",
			"move web:web_0 m1", "uncordon m1", "restart good absent", "restart web:* --no-wait", "stop good", "stop good", "stop nope:*",
			"why good", "why nope", "history good", "remove web", "remove web --stop", "remove web", "drain m2 --timeout 20s", "uncordon m2")
		f.lead.stop()
		f.lead = nil
		run("start good", "stop web", "restart job", "start good --timeout 2s", "machines forget m1", "machines")
	})
	return codes
}

// machineOf is where a process is.
func (f *fleet) machineOf(name string) string {
	_, machine, _ := strings.Cut(f.state(name), " on ")
	return machine
}

// TestNoExitCodeHangsOnASentence runs commands on fleets whose store says everything to people in other words, errors too.
// It leaves out what the daemons decide by what they read, and the agents' answers (pkg/control has a test of these).
func TestNoExitCodeHangsOnASentence(t *testing.T) {
	want := exitCodes(t, func(kv store.KV) store.KV { return kv })
	seen := map[string]bool{}
	for _, line := range want {
		seen[line[strings.LastIndex(line, " ")+1:]] = true
	}
	for _, code := range []string{"0", "1", "2", "3", "4", "7"} {
		if !seen[code] {
			t.Errorf("no command exits with %s: %s", code, strings.Join(want, "\n"))
		}
	}
	for seed := range uint64(8) {
		got := exitCodes(t, func(kv store.KV) store.KV { return sentences.KV{KV: kv, Seed: seed} })
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("with the words of seed %d: %s, want %s", seed, got[i], want[i])
			}
		}
	}
}
