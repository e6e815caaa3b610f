package plan

import (
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
)

func TestMachineThatTakesAllIsMatchedByAnyMachines(t *testing.T) {
	sel := []string{"db1", "zone=a"}
	if MatchMachine(sel, api.MachineInfo{Name: "m1"}) {
		t.Error("m1 is none of them")
	}
	if !MatchMachine(sel, api.MachineInfo{Name: "m1", TakesAll: true}) {
		t.Error("a machine that takes all does not take it")
	}
}
