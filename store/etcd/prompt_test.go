package etcd

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"
)

// fakeConn is the connection to one member.
type fakeConn struct {
	balancer.SubConn
	name string
}

// pickers is a pool of three members in virtual time.
type pickers struct {
	t   *testing.T
	p   *pool
	now time.Time
}

func newPickers(t *testing.T) *pickers {
	x := &pickers{t: t, now: time.Unix(1000, 0)}
	x.p = &pool{members: map[string]*memberSeen{}, now: func() time.Time { return x.now }}
	ready := base.PickerBuildInfo{ReadySCs: map[balancer.SubConn]base.SubConnInfo{}}
	for i := range 3 {
		name := fmt.Sprint("m", i)
		ready.ReadySCs[&fakeConn{name: name}] = base.SubConnInfo{Address: resolver.Address{Addr: name}}
	}
	x.p.Build(ready)
	return x
}

func (x *pickers) pick(method string, ctx context.Context) (member string, done func(balancer.DoneInfo)) {
	x.t.Helper()
	r, err := x.p.Pick(balancer.PickInfo{FullMethodName: method, Ctx: ctx})
	if err != nil {
		x.t.Fatal(err)
	}
	return r.SubConn.(*fakeConn).name, r.Done
}

// ask has a request answered after a time.
func (x *pickers) ask(took time.Duration, err error) (member string) {
	x.t.Helper()
	member, done := x.pick(pb.KV_Txn_FullMethodName, x.t.Context())
	x.now = x.now.Add(took)
	done(balancer.DoneInfo{Err: err})
	return member
}

func TestAMemberThatAnswersPromptlyIsAskedAgain(t *testing.T) {
	x := newPickers(t)
	first := x.ask(time.Millisecond, nil)
	for range 100 {
		if next := x.ask(time.Millisecond, status.Error(codes.FailedPrecondition, "")); next != first {
			t.Fatalf("%s is asked after %s", next, first)
		}
	}
}

func TestAnotherMemberIsAskedWhenOneIsLateOrCannot(t *testing.T) {
	for name, ask := range map[string]func(x *pickers) string{
		"late":   func(x *pickers) string { return x.ask(lateAfter, nil) },
		"cannot": func(x *pickers) string { return x.ask(time.Millisecond, status.Error(codes.Unavailable, "no leader")) },
		"silent": func(x *pickers) string {
			member, _ := x.pick(pb.KV_Range_FullMethodName, x.t.Context())
			x.now = x.now.Add(lateAfter)
			return member
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newPickers(t)
			seen := map[string]bool{}
			var order []string
			for range 3 {
				member := ask(x)
				seen[member] = true
				order = append(order, member)
				x.now = x.now.Add(time.Second)
			}
			if len(seen) != 3 {
				t.Fatalf("asked are %v", order)
			}
			if next := x.ask(0, nil); name != "silent" && next != order[0] {
				t.Errorf("when all were late, %s is asked after %v", next, order)
			}
		})
	}
}

func TestALateMemberIsForgivenInTheEnd(t *testing.T) {
	x := newPickers(t)
	first := x.ask(lateAfter, nil)
	if next := x.ask(0, nil); next == first {
		t.Fatal("it is asked again at once")
	}
	x.now = x.now.Add(forgiven)
	if next := x.ask(0, nil); next != first {
		t.Errorf("%s is asked, not %s", next, first)
	}
}

func TestWatchesLeaveALateMemberWhileAnotherIsNot(t *testing.T) {
	x := newPickers(t)
	ended := 0
	watch := func() string {
		var done func(balancer.DoneInfo)
		end := context.CancelFunc(func() {
			ended++
			done(balancer.DoneInfo{})
		})
		var member string
		member, done = x.pick(pb.Watch_Watch_FullMethodName, context.WithValue(t.Context(), watchKey{}, end))
		return member
	}
	at := watch()
	for i := range 2 {
		if member := x.ask(lateAfter, nil); member != at || ended != i+1 {
			t.Fatalf("%s is asked, the watch is at %s, and %d ended", member, at, ended)
		}
		x.now = x.now.Add(time.Second)
		at = watch()
	}
	if x.ask(lateAfter, nil); ended != 2 { // all are bad: where should it go?
		t.Errorf("%d watches ended", ended)
	}
	if x.ask(0, nil); ended != 3 {
		t.Errorf("%d watches ended when another member was prompt again", ended)
	}
}
