package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// everyEtcd sends a signal to all members of etcd.
func everyEtcd(sig unix.Signal) func(context.Context, *round, Fault) error {
	return func(_ context.Context, r *round, _ Fault) error {
		for _, h := range r.hosts {
			h.etcd(sig)
		}
		return nil
	}
}

func startEveryEtcd(_ context.Context, r *round, _ Fault) error {
	var failed []error
	for _, h := range r.hosts {
		failed = append(failed, h.startEtcd())
	}
	return errors.Join(failed...)
}

// silence drops the packets between the members of etcd and their clients, those on their own hosts among them. The members go on, and
// leases end in them.
func silence(ctx context.Context, r *round, f Fault) error {
	table := fmt.Sprintf("chaos%d", tables.Add(1))
	r.tables.Store(f, table)
	return r.onMembers(func(host int, port string) error {
		return nft(ctx, host, fmt.Sprintf("add table inet %[1]s\n"+
			"add chain inet %[1]s input { type filter hook input priority 0; }\n"+
			"add rule inet %[1]s input tcp dport %[2]s drop\n"+
			"add chain inet %[1]s output { type filter hook output priority 0; }\n"+
			"add rule inet %[1]s output tcp sport %[2]s drop\n", table, port))
	})
}

func unsilence(ctx context.Context, r *round, f Fault) error {
	table, _ := r.tables.LoadAndDelete(f)
	return r.onMembers(func(host int, _ string) error { return nft(ctx, host, fmt.Sprintf("delete table inet %v\n", table)) })
}

// onMembers does something on each host that has a member of etcd, which answers clients at a port.
func (r *round) onMembers(do func(host int, port string) error) error {
	var failed []error
	for i, m := range r.etcd.Members {
		_, port, err := net.SplitHostPort(m.Client)
		failed = append(failed, err, do(i, port))
	}
	return errors.Join(failed...)
}

// trouble is a fault as it was, from the journal.
type trouble struct {
	span
	kind string
	host string
	far  string // the other end of an edge
}

// troubles are all faults of a history; one that did not end lasts for ever.
func troubles(events []Event) (all []trouble) {
	for _, e := range events {
		name, rest, _ := strings.Cut(e.Text, " ")
		switch e.What {
		case FaultBegins:
			t := trouble{span: span{e.At, 1 << 62}, kind: name, host: e.Subject}
			if edge, _, _ := strings.Cut(rest, " "); kinds[name].edge {
				_, t.far, _ = strings.Cut(edge, "-")
			}
			all = append(all, t)
		case FaultEnds:
			for i := range all {
				if t := &all[i]; t.kind == name && t.host == e.Subject && t.to == 1<<62 {
					t.to = e.At
					break
				}
			}
		}
	}
	return all
}
