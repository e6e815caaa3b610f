package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// dayRounds is how often each thing goes wrong.
const dayRounds = 3

// etcdLeader has etcd's leader killed, and hand over, again and again.
func etcdLeader(ctx context.Context, s *stage) error {
	path, err := etcdPath()
	if err != nil {
		return err
	}
	return s.badDay(ctx, day{path: path, members: 3}, func(b *badDay) error {
		for range dayRounds {
			if err := b.round(ctx, func() error { return b.killLeader(ctx) }); err != nil {
				return err
			}
			if err := b.round(ctx, func() error { return b.handOver(ctx) }); err != nil {
				return err
			}
		}
		return b.unnoticed("etcd's leader is killed, or hands over")
	})
}

// leader waits for the member that leads.
func (b *badDay) leader(ctx context.Context) (int, error) {
	for ctx.Err() == nil {
		if i := b.etcd.Leader(); i >= 0 {
			return i, nil
		}
		pause(ctx, 50*time.Millisecond)
	}
	return -1, ctx.Err()
}

func (b *badDay) killLeader(ctx context.Context) error {
	i, err := b.leader(ctx)
	if err != nil {
		return err
	}
	b.etcd.Members[i].Kill()
	pause(ctx, 5*time.Second)
	return b.etcd.Members[i].Run()
}

// handOver has the leader make another member the leader, as operators do.
func (b *badDay) handOver(ctx context.Context) error {
	i, err := b.leader(ctx)
	if err != nil {
		return err
	}
	cli, err := clientv3.New(clientv3.Config{Endpoints: []string{b.etcd.Members[i].Client}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer cli.Close()
	st, err := cli.Status(ctx, b.etcd.Members[i].Client)
	if err != nil {
		return err
	}
	list, err := cli.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, m := range list.Members {
		if m.ID != st.Leader {
			_, err := cli.MoveLeader(ctx, m.ID)
			return err
		}
	}
	return fmt.Errorf("etcd has no other member than %x", st.Leader)
}

// frozenLeader has etcd's leader stand still for longer than every lease lasts, and go on: it finds all of them expired that have long
// been renewed at its successor, and has etcd end them before it knows that it leads no more. Nothing stands on them by then.
func frozenLeader(ctx context.Context, s *stage) error {
	packaged, err := etcdPath()
	if err != nil {
		return err
	}
	own, err := s.ownEtcd(ctx)
	if err != nil {
		return err
	}
	for _, path := range []string{own, packaged} {
		err := s.badDay(ctx, day{path: path, members: 3}, func(b *badDay) error {
			for range dayRounds {
				if err := b.round(ctx, func() error { return b.freezeLeader(ctx) }); err != nil {
					return err
				}
			}
			return b.unnoticed("etcd's leader stands still for 12 s and goes on")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *badDay) freezeLeader(ctx context.Context) error {
	i, err := b.leader(ctx)
	if err != nil {
		return err
	}
	m := b.etcd.Members[i]
	m.Signal(syscall.SIGSTOP)
	pause(ctx, 2*dayTimeout*time.Second+2*time.Second)
	b.mu.Lock()
	b.resumed = time.Now()
	b.mu.Unlock()
	m.Signal(syscall.SIGCONT)
	pause(ctx, 3*time.Second) // it would end leases now
	return nil
}
