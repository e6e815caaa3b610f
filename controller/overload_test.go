package controller

import (
	"fmt"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

// Two machines that are lost whenever they carry too much. One is lost for another reason, hands everything to the other, which is
// then lost as well, and hands it back. This went on for as long as it was watched.
func TestMachinesThatAreOverloadedDoNotThrowTheirProcessesAtEachOther(t *testing.T) {
	const (
		processes = 24
		most      = 14 // on a machine: both together can carry all
		starts    = 5  // again, of one process, in ten minutes
	)
	inCluster(t, func(c *cluster) {
		c.controller("d1")
		machines := []*agent{c.agent("m1", "i-m1"), c.agent("m2", "i-m2")}
		c.awaitAlive(2)
		c.program("x", processes, func(p *api.Program) { p.OnPartition = api.PartitionStop })
		all := func() bool {
			for i := range processes {
				if c.runsOn(fmt.Sprintf("x:%d", i)) == "" {
					return false
				}
			}
			return true
		}
		c.await("all run", all)
		for _, m := range machines {
			m.set(func(a *agent) { a.most = most })
		}
		machines[0].kv.Cut()
		time.Sleep(6 * time.Second)
		machines[0].kv.Heal()
		time.Sleep(10 * time.Minute)
		for i := range processes {
			if again := c.started(fmt.Sprintf("x:%d", i)) - 1; again > starts {
				t.Errorf("x:%d was started again %d times, want at most %d", i, again, starts)
			}
		}
		if !all() {
			t.Error("it has not come to rest")
		}
	})
}
