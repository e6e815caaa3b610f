package fencing

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
)

// TestAnAgentMayReturnInTheMiddleOfItsOwnFailover: each of several agents is stopped and goes on at another moment around
// the stop signal, the deadline and the expiry of its lease. Whoever wins, there is one copy.
func TestAnAgentMayReturnInTheMiddleOfItsOwnFailover(t *testing.T) {
	t.Parallel()
	returning(t, 1)
}

// TestLongAgentsReturnInTheMiddleOfTheirFailoversAgainAndAgain is the same, many times and with the moments of one
// agent's return meeting those of the next one's failover.
func TestLongAgentsReturnInTheMiddleOfTheirFailoversAgainAndAgain(t *testing.T) {
	gate.Long(t)
	t.Parallel()
	returning(t, 15)
}

func returning(t *testing.T, rounds int) {
	w := newWorld(t, &fenced, "")
	var pauses []time.Duration
	for pause := 1200 * time.Millisecond; pause <= 2600*time.Millisecond; pause += 200 * time.Millisecond {
		pauses = append(pauses, pause)
	}
	nodes, subjects := map[string]*cluster.Node{}, make([]*subject, len(pauses))
	for i := range pauses {
		name := fmt.Sprintf("m%d", i)
		nodes[name] = w.machine(name, nil)
		subjects[i] = w.run("returns-"+name, 2, api.PartitionStop)
	}
	for i, pause := range pauses {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			s := *subjects[i]
			s.world = w.in(t)
			for range rounds {
				c, p := s.awaitRunning()
				node := nodes[p.Owner.Machine]
				s.world.signal(node, unix.SIGSTOP, agentProcess)
				time.Sleep(pause + rand.N(200*time.Millisecond)) // the pause itself
				s.world.signal(node, unix.SIGCONT, agentProcess)
				s.world.awaitLive(p.Owner.Machine, true)
				next, _ := s.awaitRunning()
				t.Logf("stopped for %v on %s: the copy %d became %d on %s", pause, c.Machine, c.PID, next.PID, next.Machine)
				s.judge()
			}
		})
	}
}
