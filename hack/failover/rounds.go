package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// bench is a fleet under measurement.
type bench struct {
	*fleet.Fleet
	tape *tape
	size int // processes of the crew that is there
}

// patience bounds the waiting for what must come.
const patience = time.Minute

// crew is the program whose processes are moved about; usual is its size: two for each machine.
const crew, usual = "crew", 6

// muster makes a crew and waits until all run; dismiss removes it. Many of them say less often that they live: they are not to
// be what keeps the host busy.
func (b *bench) muster(ctx context.Context, touchTimeout, size int) error {
	p := b.Witness(crew, "-beat", max(5*time.Millisecond, time.Duration(size)*time.Millisecond).String())
	p.ProcessName, p.Numprocs, p.TouchTimeout, p.StartSecs = crew+"-%(process_num)d", size, touchTimeout, 0
	b.size = size
	if _, err := b.Client.Create(ctx, p); err != nil {
		return err
	}
	return b.allRun(ctx)
}

func (b *bench) allRun(ctx context.Context) error {
	return fleet.Until(ctx, patience, "all run", b.Where(ctx, b.size, fleet.Runs))
}

func (b *bench) dismiss(ctx context.Context) error {
	if _, err := b.Client.Remove(ctx, crew); err != nil {
		return err
	}
	return fleet.Until(ctx, patience, "all are gone", b.Where(ctx, 0, func(client.Process) bool { return false }))
}

// lost are the processes on a machine, by name, with the pid of their copy.
func (b *bench) lost(ctx context.Context, machine string) (map[string]int, error) {
	snap, err := b.Client.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	lost := map[string]int{}
	for _, p := range snap.Processes() {
		if p.Owner != nil && p.Owner.Machine == machine && p.Status != nil {
			lost[p.Name] = p.Status.PID
		}
	}
	return lost, nil
}

// victim is the machine with the most processes.
func (b *bench) victim(ctx context.Context) (m *cluster.Node, lost map[string]int, err error) {
	for _, n := range b.Machines {
		on, err := b.lost(ctx, n.Name)
		if err != nil {
			return nil, nil, err
		}
		if len(on) > len(lost) {
			m, lost = n, on
		}
	}
	if m == nil {
		return nil, nil, fmt.Errorf("no machine runs anything")
	}
	return m, lost, nil
}

// replacements waits until each of the lost has another copy, and returns old and new ones.
func (b *bench) replacements(ctx context.Context, lost map[string]int, after int64) (old, next map[string]witness.Copy, err error) {
	err = fleet.Until(ctx, patience, "all that were lost run again", func() (bool, string) {
		copies, err := b.Copies()
		if err != nil {
			return false, err.Error()
		}
		old, next = map[string]witness.Copy{}, map[string]witness.Copy{}
		for _, c := range copies {
			pid, was := lost[c.Process]
			switch {
			case was && c.PID == pid && c.Start < after:
				old[c.Process] = c
			case was && c.Start >= after:
				next[c.Process] = c
			}
		}
		return len(next) == len(lost), fmt.Sprintf("%d of %d", len(next), len(lost))
	})
	return old, next, err
}

// machineDeaths kills a machine again and again. A round is what its slowest process took.
func (b *bench) machineDeaths(ctx context.Context, touchTimeout, size, rounds int) (measure, error) {
	m := measure{name: fmt.Sprintf("machine death to the replacement's first instruction, `touch_timeout` %d", touchTimeout),
		promise: time.Duration(touchTimeout+1)*time.Second + time.Duration(max(0, size-usual))*10*time.Millisecond}
	if size != usual {
		m.name = fmt.Sprintf("death of a machine with about %d processes to the last replacement's first instruction, `touch_timeout` %d", size/3, touchTimeout)
	}
	if err := b.muster(ctx, touchTimeout, size); err != nil {
		return m, err
	}
	for range rounds {
		node, lost, err := b.victim(ctx)
		if err != nil {
			return m, err
		}
		began := witness.Now()
		node.Kill()
		_, next, err := b.replacements(ctx, lost, began)
		if err != nil {
			return m, fmt.Errorf("%w\n%s", err, b.tape.tell(began))
		}
		var slowest int64
		for _, c := range next {
			slowest = max(slowest, c.Start-began)
		}
		m.add(time.Duration(slowest), fmt.Sprintf(" (%s with %d processes)", node.Name, len(lost)), func() string { return b.tape.tell(began) })
		if _, err := node.Must(ctx, "distsuperagent", "start"); err != nil {
			return m, err
		}
		if err := b.allRun(ctx); err != nil {
			return m, err
		}
	}
	return m, b.dismiss(ctx)
}

// drains makes machines leave as planned. A round is the longest that a process was away: from the end of its old copy,
// which ends as soon as it is told, to the first instruction of the new one.
func (b *bench) drains(ctx context.Context, rounds int) (measure, error) {
	m := measure{name: "`distsuperagent stop --drain`: end of a process to its replacement's first instruction", promise: 300 * time.Millisecond}
	if err := b.muster(ctx, 5, usual); err != nil {
		return m, err
	}
	for range rounds {
		node, lost, err := b.victim(ctx)
		if err != nil {
			return m, err
		}
		began := witness.Now()
		if _, err := node.Must(ctx, "distsuperagent", "stop", "--drain"); err != nil {
			return m, err
		}
		old, next, err := b.replacements(ctx, lost, began)
		if err != nil {
			return m, err
		}
		var slowest int64
		for name, c := range next {
			slowest = max(slowest, c.Start-old[name].Last)
		}
		m.add(time.Duration(slowest), fmt.Sprintf(" (%s with %d processes)", node.Name, len(lost)), func() string { return b.tape.tell(began) })
		if _, err := node.Must(ctx, "distsuperagent", "start"); err != nil {
			return m, err
		}
		if err := b.allRun(ctx); err != nil {
			return m, err
		}
	}
	return m, b.dismiss(ctx)
}

// leaderDeaths kills the leading distsuperd. A round ends when another one has decided something.
func (b *bench) leaderDeaths(ctx context.Context, rounds int) (measure, error) {
	m := measure{name: "SIGKILL of the leading distsuperd (`election_ttl` 5) to the next leader's first act", promise: 6 * time.Second}
	return m, b.leaders(ctx, &m, unix.SIGKILL, rounds)
}

// resignations ends the leading distsuperd as distsuperd stop does.
func (b *bench) resignations(ctx context.Context, rounds int) (measure, error) {
	m := measure{name: "`distsuperd stop` of the leader to the next leader's first act", promise: 200 * time.Millisecond}
	return m, b.leaders(ctx, &m, unix.SIGTERM, rounds)
}

// question is a program that only a leader answers: it is given an owner.
const question = "question"

func (b *bench) leaders(ctx context.Context, m *measure, sig unix.Signal, rounds int) error {
	if err := b.muster(ctx, 5, usual); err != nil {
		return err
	}
	for range rounds {
		var leader *cluster.Node
		err := fleet.Until(ctx, patience, "somebody leads, and another waits", func() (bool, string) {
			leader = b.Leader(ctx)
			return leader != nil, "nobody does"
		})
		if err != nil {
			return err
		}
		began := witness.Now()
		if leader.Signal(sig, "distsuperd run") != 1 {
			return fmt.Errorf("%s has no distsuperd to signal", leader.Name)
		}
		if _, err := b.Client.Create(ctx, b.Witness(question)); err != nil {
			return err
		}
		var acted int64
		err = fleet.Until(ctx, patience, "another acts", func() (bool, string) {
			acted = b.tape.first("owners/"+question, began)
			return acted != 0, b.tape.tell(began)
		})
		if err != nil {
			return err
		}
		m.add(time.Duration(acted-began), " ("+leader.Name+")", func() string { return b.tape.tell(began) })
		if err := b.after(ctx, leader); err != nil {
			return err
		}
	}
	return b.dismiss(ctx)
}

// after brings everything back to where a round begins.
func (b *bench) after(ctx context.Context, leader *cluster.Node) error {
	if _, err := b.Client.Remove(ctx, question); err != nil {
		return err
	}
	err := fleet.Until(ctx, patience, "the ended distsuperd is gone", func() (bool, string) {
		pids := leader.PIDs("distsuperd run")
		return len(pids) == 0, fmt.Sprint(pids)
	})
	if err != nil {
		return err
	}
	if _, err := leader.Must(ctx, "distsuperd", "start"); err != nil {
		return err
	}
	return b.allRun(ctx)
}

// onceEach asks the witnesses.
func (b *bench) onceEach() error {
	copies, err := b.Copies()
	if err != nil {
		return err
	}
	most, pair := witness.MaxCopies(copies)
	if most > 1 {
		return fmt.Errorf("%w: %+v and %+v", errTwice, pair[0], pair[1])
	}
	fmt.Printf("\n%d copies testified; the most of one process that ever ran at once: %d\n", len(copies), most)
	return nil
}
