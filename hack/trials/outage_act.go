package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// play has one outage begin and end, and finds out what came of it.
func (o *outageFleet) play(ctx context.Context, a outageAct) error {
	if err := o.allRun(ctx); err != nil {
		return err
	}
	pause(ctx, 3*time.Second) // everything is renewed, and read
	s := seen{restarted: map[string]string{}}
	var err error
	if s.copies, err = o.running(ctx); err != nil {
		return err
	}
	leader := o.f.Leader(ctx)
	if leader == nil {
		leader = o.f.Controllers[0]
	}
	if a.leaders {
		if err := o.replace(ctx, leader, &s); err != nil {
			return err
		}
	}
	began := witness.Now()
	if err := o.begin(ctx, a); err != nil {
		return err
	}
	if err := o.during(ctx, a, leader, &s); err != nil {
		return err
	}
	if err := o.end(ctx, a); err != nil {
		return err
	}
	if err := o.back(ctx, a, began, &s); err != nil {
		return err
	}
	o.tell(a, s)
	return nil
}

// during is the time without etcd. A third of it is over when a machine is cut off, and half of it when a controller is killed.
func (o *outageFleet) during(ctx context.Context, a outageAct, leader *cluster.Node, s *seen) error {
	back := time.Now().Add(o.lasts)
	pause(ctx, o.lasts/3)
	cut := witness.Now()
	if a.cut {
		if err := o.drop(ctx, farHost); err != nil {
			return err
		}
	}
	pause(ctx, o.lasts/6)
	if a.leaders {
		if err := o.replace(ctx, leader, s); err != nil {
			return err
		}
	}
	pause(ctx, time.Until(back))
	if !a.cut {
		return ctx.Err()
	}
	last, err := o.lastSigns(cut, func(c witness.Copy) bool { return c.Machine == "m3" })
	s.fenced = time.Duration(last - cut)
	return err
}

// replace kills a controller and starts it again.
func (o *outageFleet) replace(ctx context.Context, d *cluster.Node, s *seen) error {
	began := time.Now()
	d.Signal(unix.SIGKILL, "distsuperd run")
	for len(d.PIDs("distsuperd run")) > 0 && ctx.Err() == nil {
		pause(ctx, time.Millisecond)
	}
	said := d.Run(ctx, "distsuperd", "start", "--timeout", "1ms") // without etcd it is not ready, and promises all the same
	at := o.addresses[d.Name]
	err := fleet.Until(ctx, patience, "it listens again", func() (bool, string) {
		c, err := net.DialTimeout("tcp", at, time.Second)
		if err != nil {
			return false, err.Error() + "; " + said.Stderr
		}
		return c.Close() == nil, ""
	})
	s.controller = max(s.controller, time.Since(began))
	return err
}

// back looks what happens after etcd's return: writes, second by second, and who runs where.
func (o *outageFleet) back(ctx context.Context, a outageAct, began int64, s *seen) error {
	returned := time.Now()
	cli, err := clientv3.New(clientv3.Config{Endpoints: o.etcd.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer cli.Close()
	first, err := o.revision(ctx, cli)
	if err != nil {
		return err
	}
	last := first
	for range 3 * outageTimeout { // what is late ends within this
		pause(ctx, time.Second)
		if a.leaders && len(s.writes) == 1 {
			if err := o.replace(ctx, o.f.Controllers[0], s); err != nil {
				return err
			}
		}
		next, err := o.revision(ctx, cli)
		if err != nil {
			return err
		}
		s.writes, last = append(s.writes, next-last), next
	}
	if a.cut {
		if err := o.elsewhere(ctx, returned, s); err != nil {
			return err
		}
	}
	if err := o.allRun(ctx); err != nil {
		return err
	}
	now, err := o.running(ctx)
	if err != nil {
		return err
	}
	for name, copied := range s.copies {
		switch {
		case a.cut && onFar(copied):
			s.cutOff = append(s.cutOff, name)
		case now[name] != copied:
			s.restarted[name] = fmt.Sprintf("%s was %s and is %s", name, copied, now[name])
		}
	}
	return o.quiet(began, a, s)
}

// elsewhere waits until what ran on the machine that is cut off runs on others, and lets it come back.
func (o *outageFleet) elsewhere(ctx context.Context, returned time.Time, s *seen) error {
	err := fleet.Until(ctx, patience, "all run elsewhere", func() (bool, string) {
		now, err := o.running(ctx)
		left := 0
		for name := range s.copies {
			if onFar(now[name]) {
				left++
			}
		}
		return err == nil && left == 0, fmt.Sprintf("%d are on m3 (%v)", left, err)
	})
	if err != nil {
		return err
	}
	if err := o.allRun(ctx); err != nil {
		return err
	}
	copies, err := o.f.Copies()
	if err != nil {
		return err
	}
	for _, c := range copies {
		if onFar(s.copies[c.Process]) && c.Part == witness.MainPart && c.Machine != "m3" {
			s.elsewhere = max(s.elsewhere, time.Since(returned)-time.Duration(witness.Now()-c.Start))
		}
	}
	if err := o.pass(ctx, farHost); err != nil {
		return err
	}
	return fleet.Until(ctx, patience, "the machine is back", func() (bool, string) {
		snap, err := o.f.Client.Snapshot(ctx)
		if err != nil {
			return false, err.Error()
		}
		m := snap.Machine("m3")
		return m != nil && m.Alive != nil, "it is not live"
	})
}

// quiet adds to what was restarted the witnesses that ended since the outage began, though others may run in their place by now under
// the same pid.
func (o *outageFleet) quiet(began int64, a outageAct, s *seen) error {
	copies, err := o.f.Copies()
	now := witness.Now()
	for _, c := range copies {
		if c.Start < began && c.Last >= began && (c.Ended || now-c.Last > int64(2*time.Second)) && !(a.cut && c.Machine == "m3") {
			s.restarted[c.Process] = fmt.Sprintf("%s on %s ended %v after the outage began", c.Process, c.Machine, time.Duration(c.Last-began).Round(10*time.Millisecond))
		}
	}
	return err
}

// revision is etcd's, as soon as it answers.
func (o *outageFleet) revision(ctx context.Context, cli *clientv3.Client) (int64, error) {
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		res, err := cli.Get(try, "revision")
		cancel()
		if err == nil {
			return res.Header.Revision, nil
		}
		if ctx.Err() != nil {
			return 0, err
		}
	}
}

// tell notes what was promised and what came.
func (o *outageFleet) tell(a outageAct, s seen) {
	what := fmt.Sprintf("%v, for %v", a, o.lasts.Round(time.Second))
	rest := len(s.copies) - len(s.cutOff)
	text := fmt.Sprintf("%d of %d processes restarted", len(s.restarted), rest)
	if len(s.restarted) > 0 {
		text += ": " + strings.Join(slices.Sorted(maps.Values(s.restarted)), "; ")
	}
	if a.leaders {
		text += fmt.Sprintf("; a controller was away for %v at most", s.controller.Round(10*time.Millisecond))
	}
	o.row(what, "same pids, 0 restarts", text, len(s.restarted) == 0 && rest > 0)
	total, most := int64(0), int64(0)
	for _, n := range s.writes {
		total, most = total+n, max(most, n)
	}
	limit := int64(10 * (len(s.copies) + len(o.f.Machines) + len(o.f.Controllers)))
	o.row(what, fmt.Sprintf("no storm after the return: %d writes at most, 10 for each process and daemon", limit),
		fmt.Sprintf("%d writes in the first %d s, at most %d in one", total, len(s.writes), most), total <= limit)
	if a.cut {
		o.row(what, "what the cut machine runs ends within the 10 s of a promise", fmt.Sprintf("%d processes ended within %v", len(s.cutOff), s.fenced.Round(10*time.Millisecond)),
			len(s.cutOff) > 0 && s.fenced > 0 && s.fenced <= promiseLasts)
		bound := settleLasts + outageTimeout*time.Second // all leases have ended in etcd, so that the leader waits for all machines first
		o.row(what, fmt.Sprintf("and runs elsewhere within %v of etcd's return, once", bound), fmt.Sprintf("within %v", s.elsewhere.Round(10*time.Millisecond)),
			s.elsewhere > 0 && s.elsewhere <= bound)
	}
}
