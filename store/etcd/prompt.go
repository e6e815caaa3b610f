package etcd

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/base"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// One member of etcd can be worse than all the others: its disk takes seconds for what it has to write down, or it takes connections
// and answers nothing. clientv3 asks all members in turn, so one such member spoils every third request, for ever. Instead each
// client stays with one member, by chance, and asks another when that one is late. The watches go along;
// while nothing happens, the member that serves them is asked for a sign of life.
const (
	// lateAfter is how long a member may take for a request. A well one takes a few milliseconds.
	lateAfter = 300 * time.Millisecond
	// forgiven is after how long it does not matter any more that a member was late.
	forgiven = 10 * time.Minute
	// promptly is the name of the policy.
	promptly = "distsuper_promptly"
)

func init() { balancer.Register(policy{}) }

// pulseKey is in the context of a request that is meant for the member that serves the watches.
type pulseKey struct{}

// policy makes a balancer for a connection of its own.
type policy struct{}

func (policy) Name() string { return promptly }

func (policy) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	p := &pool{members: map[string]*memberSeen{}, now: time.Now}
	return flat{base.NewBalancerBuilder(promptly, p, base.Config{}).Build(cc, o)}
}

// withPolicy is the policy in place of clientv3's.
func withPolicy() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithDisableServiceConfig(), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"` + promptly + `": {}}]}`)}
}

// flat hands endpoints on as addresses, which is what package base knows.
type flat struct{ balancer.Balancer }

func (f flat) UpdateClientConnState(s balancer.ClientConnState) error {
	s.ResolverState.Addresses = nil
	for _, e := range s.ResolverState.Endpoints {
		s.ResolverState.Addresses = append(s.ResolverState.Addresses, e.Addresses...)
	}
	return f.Balancer.UpdateClientConnState(s)
}

// pool is what one connection knows of the members.
type pool struct {
	now func() time.Time

	mu      sync.Mutex // guards what follows
	members map[string]*memberSeen
	last    int64 // number of the last request
}

// memberSeen is what was seen of one member.
type memberSeen struct {
	rank    int                 // by chance: among those that are as good, the least is asked
	late    time.Time           // when it was late last
	prompt  time.Time           // when it answered promptly last
	open    map[int64]time.Time // requests that it has not answered, since when
	watches map[int64]func()    // streams of watches there, and how to end them
	conn    balancer.SubConn    // while it is connected
}

// Build makes a picker of those that are connected.
func (p *pool) Build(info base.PickerBuildInfo) balancer.Picker {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.members {
		m.conn = nil
	}
	for conn, i := range info.ReadySCs {
		m := p.members[i.Address.Addr]
		if m == nil {
			m = &memberSeen{rank: rand.Int(), open: map[int64]time.Time{}, watches: map[int64]func(){}}
			p.members[i.Address.Addr] = m
		}
		m.conn = conn
	}
	if len(info.ReadySCs) == 0 {
		return base.NewErrPicker(balancer.ErrNoSubConnAvailable)
	}
	return p
}

// Pick is called for each request and each stream.
func (p *pool) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	p.mu.Lock()
	now := p.now()
	ends := p.overdue(now)
	m := p.best(now)
	if m == nil { // they have just gone: another picker comes
		p.mu.Unlock()
		return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
	}
	if info.Ctx.Value(pulseKey{}) != nil {
		m = p.watched(m)
	}
	p.last++
	id := p.last
	done := func(balancer.DoneInfo) {}
	end, watch := info.Ctx.Value(watchKey{}).(context.CancelFunc)
	switch {
	case watch:
		m.watches[id] = end
		done = func(balancer.DoneInfo) {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(m.watches, id)
		}
	case strings.HasPrefix(info.FullMethodName, "/"+pb.KV_ServiceDesc.ServiceName+"/") && info.FullMethodName != pb.KV_Compact_FullMethodName:
		m.open[id] = now
		done = func(d balancer.DoneInfo) { p.answered(m, id, d.Err) }
	}
	conn := m.conn
	p.mu.Unlock()
	for _, end := range ends {
		end()
	}
	return balancer.PickResult{SubConn: conn, Done: done}, nil
}

// answered takes in how a request ended. A member that says that it cannot is as bad as one that is late.
func (p *pool) answered(m *memberSeen, id int64, err error) {
	p.mu.Lock()
	now := p.now()
	var ends []func()
	if now.Sub(m.open[id]) >= lateAfter || status.Code(err) == codes.Unavailable {
		ends = p.found(m, now)
	} else {
		ends = p.prompt(m, now)
	}
	delete(m.open, id)
	p.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// overdue finds those late that have not answered for too long, and returns what is to be ended.
func (p *pool) overdue(now time.Time) (ends []func()) {
	for _, m := range p.members {
		for _, since := range m.open {
			if at := since.Add(lateAfter); !at.After(now) && at.After(m.late) {
				ends = append(ends, p.found(m, now)...)
			}
		}
	}
	return ends
}

// found notes that a member is late, and returns the ends of its watches if another is better.
func (p *pool) found(m *memberSeen, now time.Time) []func() {
	m.late = now
	if best := p.best(now); best == nil || best.bad() {
		return nil
	}
	return slices.Collect(maps.Values(m.watches))
}

// prompt notes that a member answers promptly, and returns the ends of watches at those that do not.
func (p *pool) prompt(m *memberSeen, now time.Time) (ends []func()) {
	m.prompt = now
	for _, o := range p.members {
		if o.bad() {
			ends = slices.AppendSeq(ends, maps.Values(o.watches))
		}
	}
	return ends
}

// best is the connected member that was late longest ago; nil when none is connected.
func (p *pool) best(now time.Time) *memberSeen {
	var best *memberSeen
	for _, m := range p.members {
		if m.conn != nil && (best == nil || m.before(best, now)) {
			best = m
		}
	}
	return best
}

// watched is a connected member that serves watches, or else the given one.
func (p *pool) watched(m *memberSeen) *memberSeen {
	for _, w := range p.members {
		if w.conn != nil && len(w.watches) > 0 {
			return w
		}
	}
	return m
}

func (m *memberSeen) before(o *memberSeen, now time.Time) bool {
	return cmp.Or(m.lateness(now).Compare(o.lateness(now)), cmp.Compare(m.rank, o.rank)) < 0
}

// bad reports whether it has not answered promptly since it was late.
func (m *memberSeen) bad() bool { return m.late.After(m.prompt) }

// lateness is when it was late last, as far as that matters.
func (m *memberSeen) lateness(now time.Time) time.Time {
	if now.Sub(m.late) >= forgiven {
		return time.Time{}
	}
	return m.late
}

// twice gives a read, which may be sent twice, a third of its time, and if there is no answer then, the rest of it: the balancer has
// another member asked.
func twice(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	until, bounded := ctx.Deadline()
	if write := ctx.Value(onceKey{}) != nil; write || !bounded || method != pb.KV_Range_FullMethodName && method != pb.KV_Txn_FullMethodName {
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	first, cancel := context.WithTimeout(ctx, max(time.Until(until)/3, lateAfter))
	err := invoke(first, method, req, reply, cc, opts...)
	over := first.Err() != nil
	cancel()
	if over && err != nil && ctx.Err() == nil {
		err = invoke(ctx, method, req, reply, cc, opts...)
	}
	return err
}
