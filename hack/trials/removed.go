package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/cluster"
	"github.com/distsuper/distsuper/test/fleet"
)

// removed takes a program out of the configuration whose process does not hear TERM, on a fleet and on a machine that is
// alone, and asks every command about the process while update waits for its end.
func removed(ctx context.Context, s *stage) error {
	f, err := s.fleet(ctx, 1)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := s.remove(ctx, "fleet", f.Machines[0]); err != nil {
		return err
	}
	alone := cluster.New(filepath.Join(s.Dir, "alone"), s.Bin)
	defer alone.Close()
	n, err := alone.Node("solo", "[supervisord]\nlogfile=%(here)s/d.log\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n")
	if err != nil {
		return err
	}
	defer os.RemoveAll(config.SoloRuntime(filepath.Join(n.Dir, "distsuper.ini"), os.Geteuid()))
	if err := configure(n, true); err != nil {
		return err
	}
	if _, err := n.Must(ctx, "distsuperd", "solo"); err != nil {
		return err
	}
	return s.remove(ctx, "solo", n)
}

// configure puts a healthy program into a node's configuration, and with it, or not any more, one that hears no TERM.
func configure(n *cluster.Node, stuck bool) error {
	const mark = "; the programs\n"
	file := filepath.Join(n.Dir, "distsuper.ini")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, _, _ := strings.Cut(string(text), mark)
	before += mark + "[program:healthy]\ncommand=sleep 1000\nstartsecs=0\n"
	if stuck {
		before += "[program:stuck]\ncommand=sh -c 'trap \"\" TERM; echo said; while :; do sleep 0.1; done'\nstartsecs=0\nstopwaitsecs=600\n"
	}
	return os.WriteFile(file, []byte(before), 0o600)
}

// stuckPID is the pid that status shows of the process.
func stuckPID(ctx context.Context, n *cluster.Node) (string, error) {
	r := n.Run(ctx, "distsuperctl", "status", "stuck", "--json")
	pid := regexp.MustCompile(`"pid": *(\d+)`).FindStringSubmatch(r.Stdout)
	if pid == nil || pid[1] == "0" {
		return "", fmt.Errorf("status of stuck has no pid: %s%s", r.Stdout, r.Stderr)
	}
	return pid[1], nil
}

// remove asks on one node. The update is the one that a user's supervisorctl would run.
func (s *stage) remove(ctx context.Context, where string, n *cluster.Node) error {
	if err := configure(n, true); err != nil {
		return err
	}
	if _, err := n.Must(ctx, "distsuperctl", "update"); err != nil {
		return err
	}
	is := func(line, text string) error {
		words := strings.Fields(line)
		return fleet.Until(ctx, patience, line+" says "+text, func() (bool, string) {
			r := n.Run(ctx, "distsuperctl", words...)
			return strings.Contains(r.Stdout, text), r.Stdout + r.Stderr
		})
	}
	if err := is("tail stuck", "said"); err != nil {
		return err
	}
	if err := configure(n, false); err != nil {
		return err
	}
	updated := make(chan cluster.Result, 1)
	go func() { updated <- n.Run(ctx, "distsuperctl", "update") }()
	if err := is("status stuck", "STOPPING"); err != nil {
		return err
	}
	pid, err := stuckPID(ctx, n)
	if err != nil {
		return err
	}
	for _, c := range []struct{ line, says string }{
		{"pid stuck", pid}, {"tail stuck", "said"}, {"signal CONT stuck", "stuck: signalled"}, {"signal CONT all", "stuck: signalled"},
		{"clear stuck", "stuck: cleared"}, {"start stuck", "abnormal termination"}, {"remove stuck", "still running: stuck"},
		{"stop --no-wait stuck", "already asked"}, {"why stuck", "no program asks for it"}, {"signal KILL stuck", "stuck: signalled"},
	} {
		r := n.Run(ctx, "distsuperctl", strings.Fields(c.line)...)
		said := strings.TrimSpace(r.Stdout + r.Stderr)
		s.found(fmt.Sprintf("%s: %s reaches what update is removing", where, c.line), strings.Contains(said, c.says) && !strings.Contains(strings.ToLower(said), "no such process"),
			"exit %d, %s", r.Code, firstLine(said))
	}
	select {
	case r := <-updated:
		s.found(where+": the signal that ends the process ends the update", r.Code == 0, "exit %d, %s", r.Code, firstLine(r.Stdout+r.Stderr))
	case <-time.After(patience):
		s.found(where+": the signal that ends the process ends the update", false, "it goes on after %v", patience)
	}
	r := n.Run(ctx, "distsuperctl", "status")
	s.found(where+": only the other program is left, unharmed", r.Code == 0 && !strings.Contains(r.Stdout, "stuck") && strings.Contains(r.Stdout, "RUNNING"), "%s", firstLine(r.Stdout))
	return nil
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
