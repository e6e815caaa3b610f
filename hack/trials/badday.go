package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/proxy"
	"github.com/distsuper/distsuper/test/witness"
)

// A badDay is a fleet of two controllers and two machines on an etcd of its own that fares badly. Six processes testify.
type badDay struct {
	*stage
	f    *fleet.Fleet
	etcd *etcdproc.Cluster
	ways []*proxy.Proxy // to each member, of a day with such
	kind string         // of etcd, in what is found

	restarts int // of processes, in all rounds
	rounds   int
	slowest  time.Duration // until all ran after a round
	starts   []string      // how long it took in each to start something, where that was tried

	mu      sync.Mutex
	touches int       // that etcd has ended
	resumed time.Time // when what stood still went on last, and how soon after that the first of these went
	first   time.Duration

	writes atomic.Int64 // of somebody else, that etcd has taken meanwhile
}

// A day is what the etcd of a badDay is.
type day struct {
	path    string // of the binary
	members int
	ways    bool // each member is reached through a proxy, but by other members
	slow    bool // their disks can be slow
}

const (
	dayProcesses = 6
	dayTimeout   = 5 // touch_timeout: the default
)

// etcdPath is the etcd that trials run against: DISTSUPER_TEST_ETCD, or etcd in PATH.
func etcdPath() (string, error) {
	return exec.LookPath(cmp.Or(os.Getenv("DISTSUPER_TEST_ETCD"), "etcd"))
}

// ownEtcd is the etcd that distsuperd has inside, as a server of its own.
func (s *stage) ownEtcd(ctx context.Context) (string, error) {
	return build.Etcd(ctx, filepath.Dir(s.Dir))
}

// version asks an etcd binary what it is.
func version(ctx context.Context, path string) string {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	first, _, _ := strings.Cut(string(out), "\n")
	if err != nil {
		return err.Error()
	}
	return "etcd " + strings.TrimPrefix(first, "etcd Version: ")
}

// badDay starts a fleet on such an etcd and plays with it, while somebody else has etcd write a hundred times a second.
func (s *stage) badDay(ctx context.Context, o day, play func(b *badDay) error) error {
	b := &badDay{stage: s, kind: version(ctx, o.path)}
	dir := filepath.Join(s.Dir, fmt.Sprintf("%s-%d", strings.ReplaceAll(b.kind, " ", "-"), o.members))
	home := filepath.Join(dir, "fleet")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	var err error
	if b.etcd, err = etcdproc.New(etcdproc.Options{Path: o.path, Dir: dir, Members: o.members, SlowDisks: o.slow}); err != nil {
		return err
	}
	defer b.etcd.Close()
	endpoints := b.etcd.Endpoints()
	if o.ways {
		for i, target := range endpoints {
			way, err := proxy.Listen("127.0.0.1:0", "tcp", target)
			if err != nil {
				return err
			}
			defer way.Close()
			b.ways, endpoints[i] = append(b.ways, way), way.Addr()
		}
	}
	if err := b.etcd.Await(ctx); err != nil {
		return err
	}
	b.f, err = fleet.Start(ctx, fleet.Options{Dir: home, Bin: s.Bin, Witness: s.Witness, Controllers: 2, Machines: 2, Endpoints: endpoints})
	if err != nil {
		return err
	}
	defer b.f.Close()
	for i := range dayProcesses {
		p := b.f.Witness(fmt.Sprintf("p%d", i))
		p.TouchTimeout = dayTimeout
		if _, err := b.f.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	if err := b.allRun(ctx); err != nil {
		return err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	if err := errors.Join(b.watchTouches(watching), b.load(watching)); err != nil {
		return err
	}
	return play(b)
}

func (b *badDay) allRun(ctx context.Context) error {
	return fleet.Until(ctx, patience, "all run", b.f.Where(ctx, dayProcesses, fleet.Runs))
}

// ended notes that a touch went.
func (b *badDay) ended() {
	if b.touches++; b.touches == 1 {
		b.first = time.Since(b.resumed)
	}
}

// watchTouches counts the touches that go while nobody asks for it.
func (b *badDay) watchTouches(ctx context.Context) error {
	cli, err := clientv3.New(clientv3.Config{Endpoints: b.etcd.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	go func() {
		defer cli.Close()
		for r := range cli.Watch(ctx, "/distsuper/machines/", clientv3.WithPrefix(), clientv3.WithFilterPut()) {
			for _, e := range r.Events {
				if strings.Contains(string(e.Kv.Key), "/touch/p") {
					b.mu.Lock()
					b.ended()
					b.mu.Unlock()
				}
			}
		}
	}()
	return nil
}

// load has somebody else write.
func (b *badDay) load(ctx context.Context) error {
	cli, err := clientv3.New(clientv3.Config{Endpoints: b.etcd.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	go func() {
		defer cli.Close()
		for n := 0; ctx.Err() == nil; n++ {
			try, cancel := context.WithTimeout(ctx, time.Second)
			if _, err := cli.Put(try, fmt.Sprintf("/load/%d", n%100), strings.Repeat("x", 1000)); err == nil {
				b.writes.Add(1)
			}
			cancel()
			pause(ctx, 10*time.Millisecond)
		}
	}()
	return nil
}

// pids are the processes that run, with the pids of their copies.
func (b *badDay) pids(ctx context.Context) (map[string]int, error) {
	snap, err := b.f.Client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, p := range snap.Processes() {
		if p.Status != nil && p.State == api.Running {
			pids[p.Name] = p.Status.PID
		}
	}
	return pids, nil
}

// round has one bad hour and its end, and counts what did not live through it.
func (b *badDay) round(ctx context.Context, bad func() error) error {
	if err := b.allRun(ctx); err != nil {
		return err
	}
	pause(ctx, 1500*time.Millisecond) // everything is renewed
	before, err := b.pids(ctx)
	if err != nil {
		return err
	}
	if err := bad(); err != nil {
		return err
	}
	began := time.Now()
	if err := b.etcd.Await(ctx); err != nil {
		return err
	}
	if len(b.starts) > b.rounds {
		if err := b.tidy(ctx); err != nil {
			return err
		}
	}
	if err := b.allRun(ctx); err != nil {
		return err
	}
	b.slowest = max(b.slowest, time.Since(began))
	pause(ctx, 2*time.Second) // what is late
	if err := b.allRun(ctx); err != nil {
		return err
	}
	now, err := b.pids(ctx)
	if err != nil {
		return err
	}
	for name, pid := range before {
		if now[name] != pid {
			b.restarts++
		}
	}
	b.rounds++
	return nil
}

// measured is what the witnesses say of all rounds.
func (b *badDay) measured() (text string, overlaps bool, err error) {
	copies, err := b.f.Copies()
	if err != nil {
		return "", false, err
	}
	most, pair := witness.MaxCopies(copies)
	gap := witness.WorstGap(copies)
	text = fmt.Sprintf("%s: %d rounds of %d processes, %d restarts, at most %d at once, worst gap %v; %d other writes meanwhile", b.kind, b.rounds, dayProcesses, b.restarts, most,
		gap.Round(10*time.Millisecond), b.writes.Load())
	if len(b.starts) > 0 {
		text += "; starts meanwhile took " + strings.Join(b.starts, ", ")
	}
	b.mu.Lock()
	if b.touches > 0 && !b.resumed.IsZero() {
		text += fmt.Sprintf(", %d touches ended by etcd, the first %v after it went on", b.touches, b.first.Round(time.Millisecond))
	}
	b.mu.Unlock()
	if most > 1 {
		text += fmt.Sprintf("; together: %+v", pair)
	}
	return text, most > 1, nil
}

// unnoticed tells that nothing noticed the rounds, as is promised.
func (b *badDay) unnoticed(fault string) error {
	text, overlaps, err := b.measured()
	if err != nil {
		return err
	}
	b.row(fault, "nothing runs twice, nothing is restarted", text, !overlaps && b.restarts == 0)
	return nil
}
