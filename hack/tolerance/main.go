// Tolerance measures for how long etcd may be silent before a fleet restarts anything: etcd stands still, the network between it and
// the fleet loses every packet, or a cluster of three members loses its leader. It needs root, for a network of its own, and an etcd in
// PATH, or DISTSUPER_TEST_ETCD.
//
//	go run ./hack/tolerance -bin bin -n 5 -page hack/docs/safety.md
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/hack/docs"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/fleet"
)

func main() {
	bin := flag.String("bin", "bin", "folder of the three binaries")
	rounds := flag.Int("n", 5, "rounds of each silence")
	timeouts := flag.String("timeouts", "2 3 5 10", "values of touch_timeout")
	step := flag.Duration("step", 250*time.Millisecond, "between the lengths of silences; twice that from 4 s on")
	page := flag.String("page", "", "page in which the figures are to stand; none: they are printed only")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *bin, *timeouts, *rounds, *step, *page)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tolerance:", err)
		os.Exit(1)
	}
}

// column is one kind of silence, with what each touch_timeout survived of it.
type column struct {
	title    string
	survived map[int]string
}

func run(ctx context.Context, bin, values string, rounds int, step time.Duration, page string) error {
	var timeouts []int
	for _, word := range strings.Fields(values) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return err
		}
		timeouts = append(timeouts, n)
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		return err
	}
	host := fleet.Host()
	dir, err := os.MkdirTemp("", "tolerance-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := build.Programs(ctx, dir, "", "witness"); err != nil {
		return err
	}
	net, err := newNetwork(ctx)
	if err != nil {
		return err
	}
	defer net.close()
	var columns []column
	for _, members := range []int{1, 3} {
		b, err := start(ctx, filepath.Join(dir, fmt.Sprint(members)), bin, filepath.Join(dir, "witness"), net, members, timeouts)
		if err != nil {
			return err
		}
		more, err := b.measure(ctx, rounds, step)
		b.close()
		if err != nil {
			return err
		}
		columns = append(columns, more...)
	}
	figures := show(host, rounds, timeouts, columns)
	fmt.Print("\n" + figures)
	if page == "" {
		return nil
	}
	return docs.WriteFigures(page, "tolerance", figures)
}

// start makes a fleet of one controller and two machines on an etcd behind the network.
func start(ctx context.Context, dir, bin, witness string, net *network, members int, timeouts []int) (*bench, error) {
	path, err := exec.LookPath(cmp.Or(os.Getenv("DISTSUPER_TEST_ETCD"), "etcd"))
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	far := etcdproc.Host{Address: farAddress, Before: net.inside()}
	etcd, err := etcdproc.New(etcdproc.Options{Path: path, Dir: dir, Hosts: slices.Repeat([]etcdproc.Host{far}, members)})
	if err != nil {
		return nil, err
	}
	b := &bench{etcd: etcd, net: net, timeouts: timeouts}
	if err = etcd.Await(ctx); err == nil {
		home := filepath.Join(dir, "fleet")
		if err = os.Mkdir(home, 0o700); err == nil {
			b.Fleet, err = fleet.Start(ctx, fleet.Options{Dir: home, Bin: bin, Witness: witness, Controllers: 1, Machines: 2, Endpoints: etcd.Endpoints()})
		}
	}
	if err != nil {
		etcd.Close()
		return nil, err
	}
	return b, nil
}

// show is the table, with what it was measured on.
func show(host string, rounds int, timeouts []int, columns []column) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s, %d rounds of each silence\n\n| `touch_timeout` | computed |", host, rounds)
	for _, c := range columns {
		fmt.Fprintf(&s, " %s |", c.title)
	}
	s.WriteString("\n|---|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, t := range timeouts {
		ttl := int64(t)
		fmt.Fprintf(&s, "| %d | %.1f s |", t, deadline.Survives(ttl, usualStopWait, deadline.Patience(ttl)).Seconds())
		for _, c := range columns {
			fmt.Fprintf(&s, " %s |", c.survived[t])
		}
		s.WriteString("\n")
	}
	return s.String()
}
