package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/gate"
)

// leads is the controller whose member of etcd leads.
func (f *fixture) leads(from *cluster.Node) (leader *cluster.Node) {
	f.t.Helper()
	f.until("a member leads", func() (bool, string) {
		r := from.Run(f.ctx, "distsuperctl", "members", "--json")
		var list []struct{ Name, Role string }
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
			return false, r.Stdout + r.Stderr
		}
		for _, m := range list {
			for _, d := range f.Controllers {
				if m.Role == "leader" && m.Name == d.Name {
					leader = d
				}
			}
		}
		return leader != nil, r.Stdout
	})
	return leader
}

// Property: a member is taken out for good where the others go on, be it the one that leads, one that answers or one that is dead, and is
// refused, with the reason, where they would not. It can come back. What runs notices nothing.
func TestLongMembersAreTakenOutOnlyWhereTheOthersGoOn(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 1, members)
	before := f.steady(4)
	leader := f.leads(f.Controllers[0])
	var others []*cluster.Node
	for _, d := range f.Controllers {
		if d != leader {
			others = append(others, d)
		}
	}
	one, two := others[0], others[1]

	// One of three is down: none that answers may go.
	two.Kill()
	f.until("it is seen to be down", func() (bool, string) {
		out := one.Run(f.ctx, "distsuperctl", "members").Stdout
		return strings.Contains(out, "does not answer"), out
	})
	if r := one.Run(f.ctx, "distsuperctl", "members", "remove", "--yes", leader.Name); r.Code != 1 || !strings.Contains(r.Stderr, "etcd would need 2; start the others first: "+two.Name) {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	f.must(two, "distsuperd", "start") // as it says
	f.vote(one, 3)

	// The one that leads; others notice nothing, and its host comes back as a new one by what it says itself.
	f.until("it may go", func() (bool, string) { // etcd wants the others to have known each other for five seconds
		r := one.Run(f.ctx, "distsuperctl", "members", "remove", "--yes", leader.Name)
		return r.Code == 0, r.Stdout + r.Stderr
	})
	f.vote(one, 2)
	command := f.warning(leader, "was removed from the members")
	f.must(one, "distsuperctl", strings.Fields(command)[1:]...)
	f.vote(one, 3)

	// A dead one, and then there are two votes, of which none that answers may go while the other is down.
	leader.Kill()
	f.until("it may go", func() (bool, string) {
		r := one.Run(f.ctx, "distsuperctl", "members", "remove", "--yes", leader.Name)
		return r.Code == 0, r.Stdout + r.Stderr
	})
	f.vote(one, 2)
	f.until("one that answers may go", func() (bool, string) {
		r := two.Run(f.ctx, "distsuperctl", "members", "remove", "--yes", one.Name)
		return r.Code == 0, r.Stdout + r.Stderr
	})
	f.vote(two, 1)
	if r := two.Run(f.ctx, "distsuperctl", "members", "remove", "--yes", two.Name); r.Code != 1 || !strings.Contains(r.Stderr, "it alone has a vote, and etcd would end with it") {
		t.Errorf("exit %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	f.noticed(before, "members of etcd were taken out")
	f.onceEach()
}

// Property: a first host whose whole state is lost, with the members' authorities, begins no second fleet beside the one that goes on without
// it, neither by distsuperd nor by a command that would start its etcd. What it says leads out.
func TestLongAFirstHostThatLostEverythingBeginsNoSecondFleet(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	f := start(t, 3, 1, members)
	before := f.steady(2)
	first, second := f.Controllers[0], f.Controllers[1]
	first.Kill()
	if err := os.RemoveAll(first.State("")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"distsuperd start", "distsuperctl init db"} {
		words := strings.Fields(line)
		if r := first.Run(f.ctx, words[0], words[1:]...); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "a second fleet beside that one") {
			t.Errorf("%s: exit %d: %s%s", line, r.Code, r.Stdout, r.Stderr)
		}
	}
	f.until("the others go on", func() (bool, string) {
		r := second.Run(f.ctx, "distsuperctl", "members", "replace", "d1")
		return r.Code == 0, r.Stdout + r.Stderr
	})
	if r := first.Run(f.ctx, "distsuperd", "start"); r.Code == 0 { // nobody looks for it any more
		t.Errorf("once it was replaced, it begins a second fleet: %s%s", r.Stdout, r.Stderr)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(f.Endpoints[0], "https://"), "/")
	text := f.must(second, "distsuperctl", "init", "config", "--join", "--voter", address)
	if err := os.WriteFile(first.Dir+"/distsuper.ini", []byte(text+"[distsuperd]\nid = d1\nhttp = 127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.must(first, "distsuperd", "start")
	f.vote(second, 3)
	f.noticed(before, "the first host was lost, and made anew")
	f.onceEach()
}
