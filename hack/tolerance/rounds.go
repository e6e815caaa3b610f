package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

const (
	// patience bounds the waiting for what must come.
	patience = 2 * time.Minute
	// usualStopWait is the stopwaitsecs of the witnesses, the default.
	usualStopWait = 10 * time.Second
	// copies is how many processes of each touch_timeout there are.
	copies = 2
	// calm is the time before each silence, in which everything is renewed.
	calm = 1500 * time.Millisecond
	// after is how long after a silence what was stopped may still say so.
	after = 1500 * time.Millisecond
)

// bench is a fleet under measurement.
type bench struct {
	*fleet.Fleet
	etcd     *etcdproc.Cluster
	net      *network
	timeouts []int
}

func (b *bench) close() {
	b.Fleet.Close()
	b.etcd.Close()
}

var errTwice = errors.New("a process ran twice at once")

// measure has every kind of silence that this etcd can have.
func (b *bench) measure(ctx context.Context, rounds int, step time.Duration) ([]column, error) {
	var columns []column
	add := func(c column, err error) error {
		columns = append(columns, c)
		return err
	}
	var err error
	if len(b.etcd.Members) == 1 {
		err = add(b.longest(ctx, rounds, step, "etcd stands still", b.freeze))
		if err == nil {
			err = add(b.longest(ctx, rounds, step, "the network loses everything", b.cut))
		}
	} else {
		err = add(b.elections(ctx, rounds, "etcd's leader dies", b.kill))
		if err == nil {
			err = add(b.elections(ctx, rounds, "etcd's leader stands still", b.hang))
		}
	}
	if err != nil {
		return nil, err
	}
	testimonies, err := b.Copies()
	if err != nil {
		return nil, err
	}
	if most, pair := witness.MaxCopies(testimonies); most > 1 {
		return nil, fmt.Errorf("%w: %+v and %+v", errTwice, pair[0], pair[1])
	}
	return columns, nil
}

func program(touchTimeout int) string { return fmt.Sprintf("t%d", touchTimeout) }

// muster makes the programs, and dismiss removes one.
func (b *bench) muster(ctx context.Context) error {
	for _, t := range b.timeouts {
		p := b.Witness(program(t))
		p.ProcessName, p.Numprocs, p.TouchTimeout, p.StartSecs = program(t)+"-%(process_num)d", copies, t, 0
		p.OnStoreOutage = api.OutageStop // what a lease survives is measured
		if _, err := b.Client.Create(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) dismiss(ctx context.Context, touchTimeout int) error {
	_, err := b.Client.Remove(ctx, program(touchTimeout))
	return err
}

// longest has silences of growing length. What restarts in one of them is out.
func (b *bench) longest(ctx context.Context, rounds int, step time.Duration, title string, silence func(context.Context, time.Duration) error) (column, error) {
	c := column{title, map[int]string{}}
	if err := b.muster(ctx); err != nil {
		return c, err
	}
	left := slices.Clone(b.timeouts)
	most := time.Duration(slices.Max(left)) * time.Second // nothing survives that
	for length := step; len(left) > 0 && length <= most; length += step {
		if length > 4*time.Second {
			length += step
		}
		restarted := map[int]int{}
		for range rounds {
			err := b.round(ctx, left, restarted, func() error { return silence(ctx, length) })
			if err != nil {
				return c, fmt.Errorf("%s for %v: %w", title, length, err)
			}
		}
		fmt.Printf("%s for %v: rounds with restarts by touch_timeout: %v\n", title, length, restarted)
		for _, t := range slices.Sorted(maps.Keys(restarted)) {
			left = slices.DeleteFunc(left, func(o int) bool { return o == t })
			if err := b.dismiss(ctx, t); err != nil {
				return c, err
			}
		}
		for _, t := range left {
			c.survived[t] = fmt.Sprintf("%.2f s", length.Seconds())
		}
	}
	return c, nil
}

// elections loses the leader again and again.
func (b *bench) elections(ctx context.Context, rounds int, title string, lose func(context.Context) (mend func() error)) (column, error) {
	c := column{title, map[int]string{}}
	if err := b.muster(ctx); err != nil {
		return c, err
	}
	restarted := map[int]int{}
	for range rounds {
		var mend func() error
		err := b.round(ctx, b.timeouts, restarted, func() error {
			mend = lose(ctx)
			clock.Sleep(ctx, 5*time.Second)
			return nil
		})
		if err == nil {
			err = mend()
		}
		if err == nil {
			err = b.etcd.Await(ctx)
		}
		if err != nil {
			return c, fmt.Errorf("%s: %w", title, err)
		}
	}
	fmt.Printf("%s: rounds with restarts by touch_timeout: %v\n", title, restarted)
	for _, t := range b.timeouts {
		c.survived[t] = fmt.Sprintf("%d of %d", rounds-restarted[t], rounds)
		if err := b.dismiss(ctx, t); err != nil {
			return c, err
		}
	}
	return c, nil
}

// round has one silence, and counts whose copies did not live on.
func (b *bench) round(ctx context.Context, timeouts []int, restarted map[int]int, silence func() error) error {
	n := copies * len(timeouts)
	if err := fleet.Until(ctx, patience, "all run", b.Where(ctx, n, fleet.Runs)); err != nil {
		return err
	}
	clock.Sleep(ctx, calm+rand.N(500*time.Millisecond)) // no phase is preferred
	before, err := b.running(ctx)
	if err != nil {
		return err
	}
	if err := silence(); err != nil {
		return err
	}
	clock.Sleep(ctx, after)
	if err := fleet.Until(ctx, patience, "all run", b.Where(ctx, n, fleet.Runs)); err != nil {
		return err
	}
	now, err := b.running(ctx)
	if err != nil {
		return err
	}
	for _, t := range timeouts {
		for i := range copies {
			if name := fmt.Sprintf("%s:%s-%d", program(t), program(t), i); before[name] == 0 || before[name] != now[name] {
				restarted[t]++
				break
			}
		}
	}
	return nil
}

// running are the processes with the pids of their copies.
func (b *bench) running(ctx context.Context) (map[string]int, error) {
	snap, err := b.Client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	pids := map[string]int{}
	for _, p := range snap.Processes() {
		if p.Status != nil {
			pids[p.Name] = p.Status.PID
		}
	}
	return pids, nil
}

// freeze has etcd stand still.
func (b *bench) freeze(ctx context.Context, length time.Duration) error {
	m := b.etcd.Members[0]
	m.Signal(syscall.SIGSTOP)
	clock.Sleep(ctx, length)
	m.Signal(syscall.SIGCONT)
	return ctx.Err()
}

// cut has the network lose everything.
func (b *bench) cut(ctx context.Context, length time.Duration) error {
	if err := b.net.lose(ctx); err != nil {
		return err
	}
	clock.Sleep(ctx, length)
	return b.net.heal(ctx)
}

// kill kills the leader, and hang stops it.
func (b *bench) kill(ctx context.Context) (mend func() error) {
	m := b.leader(ctx)
	m.Kill()
	return m.Run
}

func (b *bench) hang(ctx context.Context) (mend func() error) {
	m := b.leader(ctx)
	m.Signal(syscall.SIGSTOP)
	return func() error { m.Signal(syscall.SIGCONT); return nil }
}

// leader is the member that leads; any when ctx ends before one does.
func (b *bench) leader(ctx context.Context) *etcdproc.Member {
	for {
		if i := b.etcd.Leader(); i >= 0 {
			return b.etcd.Members[i]
		}
		if !clock.Sleep(ctx, 20*time.Millisecond) {
			return b.etcd.Members[0]
		}
	}
}
