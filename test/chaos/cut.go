package chaos

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
)

// cut is what happens to packets of a host, by rules of nft.
type cut struct {
	in, out string // the verdict on what arrives and what leaves; "" is nothing
	what    reach
}

// reach is which packets a cut is about.
type reach int

const (
	everything reach = iota // but what stays on the host
	theEdge                 // between the host and the far end
	theStore                // between the host and any member of etcd, its own included
	theOthers               // between the two hosts of the edge and all others
)

// The verdicts. A reset is what a host sends on whose port nobody listens.
const (
	drop  = "drop"
	reset = "meta l4proto tcp reject with tcp reset"
	lose  = "numgen random mod 100 < %d drop"
)

// tables numbers the tables of nft: each fault has its own.
var tables atomic.Int64

// cutting has the packets of a kind of fault cut.
func cutting(c cut) (begin, end func(context.Context, *round, Fault) error) {
	begin = func(ctx context.Context, r *round, f Fault) error {
		table := fmt.Sprintf("chaos%d", tables.Add(1))
		r.tables.Store(f, table)
		err := nft(ctx, f.Host, c.rules(table, f, r.ports()))
		if c.what == theOthers {
			f.Host, f.Other = f.Other, f.Host
			err = errors.Join(err, nft(ctx, f.Host, c.rules(table, f, r.ports())))
		}
		return err
	}
	end = func(ctx context.Context, r *round, f Fault) error {
		table, _ := r.tables.LoadAndDelete(f)
		remove := fmt.Sprintf("delete table inet %v\n", table)
		err := nft(ctx, f.Host, remove)
		if c.what == theOthers {
			err = errors.Join(err, nft(ctx, f.Other, remove))
		}
		return err
	}
	return begin, end
}

// rules is the script of nft for one host. ports are those at which etcd answers it: its members', and those of proxies.
func (c cut) rules(table string, f Fault, ports string) string {
	var b strings.Builder
	chain := func(hook, device, far, port, verdict string) {
		fmt.Fprintf(&b, "add chain inet %s %s { type filter hook %s priority 0; }\n", table, hook, hook)
		if verdict == "" {
			return
		}
		if strings.Contains(verdict, "%d") {
			verdict = fmt.Sprintf(verdict, f.Share)
		}
		match := device + ` "eth0"`
		switch other := address(f.Other); c.what {
		case theEdge:
			match += " " + far + " " + other
		case theStore:
			match = port + " { " + ports + " }"
		case theOthers:
			match += " " + far + " != " + other
		}
		fmt.Fprintf(&b, "add rule inet %s %s %s %s\n", table, hook, match, verdict)
	}
	fmt.Fprintf(&b, "add table inet %s\n", table)
	chain("input", "iifname", "ip saddr", "tcp sport", c.in)
	chain("output", "oifname", "ip daddr", "tcp dport", c.out)
	return b.String()
}

func nft(ctx context.Context, host int, script string) error {
	words := append(inside(hostName(host)), "nft", "-f", "-")
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft on %s: %w: %s\n%s", hostName(host), err, out, script)
	}
	return nil
}
