package fencing

import (
	"context"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
)

// TestLongWhoSleptThroughACompactionComesRight: an agent and a controller stand still, and what they watch is compacted away meanwhile. When
// they go on they learn what was stopped, restarted and made, and nothing else is touched; the controller leads as if it had seen all.
func TestLongWhoSleptThroughACompactionComesRight(t *testing.T) {
	t.Parallel()
	gate.Long(t)
	server := etcdproc.Start(t, 1)
	w := newWorld(t, &fenced, "http://"+server.Members[0].Client)
	agentWay, controllerWay := w.proxy(), w.proxy()
	w.setEtcd("http://" + controllerWay.Addr())
	d2, err := w.Controller("d2")
	if err != nil {
		t.Fatal(err)
	}
	w.must(d2, "distsuperd", "start")
	w.setEtcd(w.endpoint)
	m1 := w.machine("m1", agentWay)
	kept := w.run("kept", 3, api.PartitionUnset, "m1")
	stopped := w.run("stopped", 3, api.PartitionUnset, "m1")
	restarted := w.run("restarted", 3, api.PartitionUnset, "m1")
	life, old := kept.life(), restarted.life()

	w.signal(m1, unix.SIGSTOP, agentProcess)
	w.signal(d2, unix.SIGSTOP, controllerProcess)
	for _, way := range []*proxy.Proxy{agentWay, controllerWay} {
		way.Cut()
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.client.StopProcess(t.Context(), "stopped"))
	must(w.client.RestartProcess(t.Context(), "restarted"))
	late := client.Program("late", "sleep 1000")
	late.Machines, late.Autostart = []string{"m1"}, true
	must(w.client.Create(t.Context(), late))
	compact(t, server, 3000)
	for _, way := range []*proxy.Proxy{agentWay, controllerWay} {
		way.Break() // and what was held back is lost: they watch anew, from where they were
		way.Heal()
	}
	w.signal(m1, unix.SIGCONT, agentProcess)
	w.signal(d2, unix.SIGCONT, controllerProcess)

	eventually(t, func() (bool, string) {
		p, l := stopped.state(), w.look().Process("late")
		c, _ := restarted.last()
		return p.State == api.Stopped && p.Touch == nil && l != nil && l.State == api.Running && c.PID != old.copy.PID,
			fmt.Sprintf("stopped is %v (%s), late %+v, restarted %+v", p.State, p.Text, l, c)
	})
	restarted.awaitRunning()
	kept.unchanged(life)

	t.Log("the controller leads that stood still")
	now := restarted.life()
	w.must(w.d1, "distsuperd", "stop")
	eventually(t, func() (bool, string) {
		out := w.must(d2, "distsuperd", "status", "--json")
		return strings.Contains(strings.ReplaceAll(out, " ", ""), `"leader":true`), out
	})
	after := w.run("after", 3, api.PartitionUnset, "m1")
	if p := stopped.state(); p.State != api.Stopped {
		t.Errorf("stopped is %v", p.State)
	}
	kept.unchanged(life)
	if again := restarted.life(); again.copy.PID != now.copy.PID {
		t.Errorf("restarted was %+v and is %+v", now, again)
	}
	for _, s := range []*subject{kept, stopped, restarted, after} {
		s.judge()
	}
}

// compact has somebody else write, and everything before that forgotten.
func compact(t *testing.T, server *etcdproc.Cluster, writes int) {
	t.Helper()
	cli, err := clientv3.New(clientv3.Config{Endpoints: server.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer cli.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var rev int64
	for i := range writes {
		r, err := cli.Put(ctx, "/other", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		rev = r.Header.Revision
	}
	if _, err := cli.Compact(ctx, rev, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
}
