package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
)

// restart asks daemons to restart, or to reload, with what a new one could not start with.
func restart(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 1)
	if err != nil {
		return err
	}
	defer f.Close()
	p := f.Witness("web")
	p.TouchTimeout = 10
	if _, err := f.Client.Create(ctx, p); err != nil {
		return err
	}
	if err := fleet.Until(ctx, patience, "it runs", f.Where(ctx, 1, fleet.Runs)); err != nil {
		return err
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer taken.Close()
	for _, d := range []struct {
		node             *cluster.Node
		program, section string
		commands         []string
	}{
		{f.Machines[0], "distsuperagent", "distsuperagent", []string{"distsuperagent restart"}},
		{f.Controllers[0], "distsuperd", "distsuperd", []string{"distsuperd restart", "distsuperctl reload"}},
	} {
		for _, wrong := range []struct{ what, line, says string }{
			{"a broken file", "http = nowhere", "http"},
			{"a port of another", "http = " + taken.Addr().String(), "address already in use"},
			{"a log that is a folder", "log = " + s.Dir, "is a directory"},
		} {
			for _, command := range d.commands {
				if err := s.refused(ctx, d.node, d.program, command, wrong.what, "\n["+d.section+"]\n"+wrong.line+"\n", wrong.says); err != nil {
					return err
				}
			}
		}
		_, err := d.node.Must(ctx, d.program, "restart")
		s.found(d.program+" restart succeeds when nothing is wrong", err == nil, "%s", orElse(err, "it did"))
	}
	return s.unnoticed(ctx, f)
}

// refused appends to a node's configuration, and notes whether a command fails for that and leaves the daemon alone.
func (s *stage) refused(ctx context.Context, n *cluster.Node, program, command, what, lines, says string) error {
	file := filepath.Join(n.Dir, "distsuper.ini")
	good, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before := n.PIDs(program)
	if err := os.WriteFile(file, append(good, lines...), 0o600); err != nil {
		return err
	}
	words := strings.Fields(command)
	r := n.Run(ctx, words[0], words[1:]...)
	if err := os.WriteFile(file, good, 0o600); err != nil {
		return err
	}
	after := n.PIDs(program)
	held := r.Code != 0 && strings.Contains(r.Stderr+r.Stdout, says) && len(before) > 0 && fmt.Sprint(before) == fmt.Sprint(after)
	s.found(fmt.Sprintf("with %s, %s fails with the reason and the daemon goes on", what, command), held,
		"exit %d, %s, pid %v, then %v", r.Code, strings.TrimSpace(r.Stdout+r.Stderr), before, after)
	return nil
}

// unnoticed notes whether every process that testified is still its first copy.
func (s *stage) unnoticed(ctx context.Context, f *fleet.Fleet) error {
	err := fleet.Until(ctx, patience, "all run", func() (bool, string) {
		snap, err := f.Client.Snapshot(ctx)
		if err != nil {
			return false, err.Error()
		}
		for _, p := range snap.Processes() {
			if !fleet.Runs(p) {
				return false, fleet.Describe(p)
			}
		}
		return true, ""
	})
	if err != nil {
		return err
	}
	copies, err := f.Copies()
	if err != nil {
		return err
	}
	of := map[string]int{}
	for _, c := range copies {
		of[c.Process]++
	}
	most := 0
	for _, n := range of {
		most = max(most, n)
	}
	s.found("no process notices anything of it", most == 1, "%d processes, at most %d copies of one", len(of), most)
	return nil
}
