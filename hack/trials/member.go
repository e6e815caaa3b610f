package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/distsuper/distsuper/test/fleet"
)

// badHour is how long a member fares badly.
const badHour = 20 * time.Second

// swallows has each member of three in turn swallow what clients send it, while the members themselves go on together: no
// connection ends, new ones are accepted, and nothing is answered.
func swallows(ctx context.Context, s *stage) error {
	path, err := etcdPath()
	if err != nil {
		return err
	}
	return s.badDay(ctx, day{path: path, members: 3, ways: true}, func(b *badDay) error {
		for _, way := range b.ways {
			err := b.round(ctx, func() error {
				way.Cut()
				defer way.Heal()
				b.startsOne(ctx, true)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return b.unnoticed(fmt.Sprintf("a member of etcd answers no client for %v, each of three in turn", badHour))
	})
}

// slowDisk has the disk of a follower be slow, that of the leader, and those of all three; and that of an etcd of one member.
func slowDisk(ctx context.Context, s *stage) error {
	path, err := etcdPath()
	if err != nil {
		return err
	}
	all := []int{0, 1, 2}
	err = s.badDay(ctx, day{path: path, members: 3, slow: true}, func(b *badDay) error {
		for _, which := range []func(leader int) []int{
			func(leader int) []int { return []int{(leader + 1) % 3} },
			func(leader int) []int { return []int{leader} },
			func(int) []int { return all },
		} {
			leader, err := b.leader(ctx)
			if err != nil {
				return err
			}
			if err := b.slow(ctx, 2*time.Second, which(leader)); err != nil {
				return err
			}
		}
		return b.unnoticed("an fsync takes 2 s longer: on one member of three, on the leader, on all")
	})
	if err != nil {
		return err
	}
	return s.badDay(ctx, day{path: path, members: 1, slow: true}, func(b *badDay) error {
		for _, by := range []time.Duration{200 * time.Millisecond, 3 * time.Second} {
			if err := b.slow(ctx, by, all[:1]); err != nil {
				return err
			}
		}
		return b.unnoticed("an fsync of the only member takes 0.2 s longer, then 3 s")
	})
}

// slow has a round in which the disks of some members are slow. Where not most of them are, what is asked for is done.
func (b *badDay) slow(ctx context.Context, by time.Duration, members []int) error {
	return b.round(ctx, func() error {
		for _, i := range members {
			b.etcd.Members[i].Disk.Delay(by)
			defer b.etcd.Members[i].Disk.Delay(0)
		}
		b.startsOne(ctx, len(members) == 1 && len(b.etcd.Members) > 1 || by < time.Second)
		return nil
	})
}

// startsOne asks for another process while something is bad, which goes on for a while, and notes how long it takes until it runs.
// It may be that it has to.
func (b *badDay) startsOne(ctx context.Context, must bool) {
	began := time.Now()
	p := b.f.Witness(fmt.Sprintf("asked%d", b.rounds))
	p.TouchTimeout = dayTimeout
	// A command that gets no answer in time fails; whoever gave it gives it again.
	err := fleet.Until(ctx, badHour, "it runs", func() (bool, string) {
		if _, err := b.f.Client.Create(ctx, p); err != nil && !strings.Contains(err.Error(), "already exists") {
			return false, err.Error()
		}
		now, err := process(ctx, b.f, p.Name)
		return err == nil && fleet.Runs(now), fmt.Sprint(fleet.Describe(now), err)
	})
	took := time.Since(began).Round(10 * time.Millisecond).String()
	if err != nil {
		took = fmt.Sprintf("not within %s", took)
	}
	b.starts = append(b.starts, took)
	if must {
		b.found("what is asked for meanwhile is done", err == nil, "%s", orElse(err, "it runs after "+took))
	}
	pause(ctx, badHour-time.Since(began))
}

// tidy removes what startsOne made, if it did.
func (b *badDay) tidy(ctx context.Context) error {
	name := fmt.Sprintf("asked%d", b.rounds)
	snap, err := b.f.Client.Snapshot(ctx)
	if err != nil || snap.Process(name) == nil {
		return err
	}
	_, err = b.f.Controllers[0].Must(ctx, "distsuperctl", "remove", name, "--stop")
	return err
}
