package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/daemon"
)

// stoppedHere is what `stop NAME --json` prints of each process.
type stoppedHere struct {
	Process string `json:"process"`
	Stopped bool   `json:"stopped"`
	Error   string `json:"error,omitempty"`
}

// stopHere stops processes of this machine, as the keeper can without an agent and without etcd.
func stopHere(cmd *cobra.Command, cfg *config.Config, o stopOptions, names []string) error {
	if o.drain || o.all {
		return daemon.Usage(errors.New("--drain and --all stop every process: give no names with them"))
	}
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if o.timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
	}
	defer cancel()
	k := keeper.Dial(keeper.SocketPath(cfg.Agent.StateDir))
	defer k.Close()
	all, err := k.Changes(ctx, 0)
	if err != nil {
		return fmt.Errorf("ask the keeper what it runs: %w", err)
	}
	refs, err := chosen(all.Runs, names)
	if err != nil {
		return err
	}
	answers := stopRuns(ctx, k, refs)
	out := cmd.OutOrStdout()
	if o.json {
		if err := json.NewEncoder(out).Encode(answers); err != nil {
			return err
		}
		out = io.Discard
	}
	failed := 0
	for _, a := range answers {
		if a.Error != "" {
			failed++
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", a.Process, a.Error)
			continue
		}
		fmt.Fprintf(out, "%s: stopped\n", a.Process)
	}
	if failed < len(answers) {
		fmt.Fprintln(out, seenFromHere(cmd.Context(), cfg).AfterStop())
	}
	if failed > 0 {
		return &daemon.ExitError{Code: daemon.ExitFailed}
	}
	return nil
}

// chosen are the runs of these names; "group:*" names a whole group.
func chosen(runs []keeper.Run, names []string) (refs []keeper.Ref, err error) {
	for _, name := range names {
		group, whole := strings.CutSuffix(name, ":*")
		before := len(refs)
		for _, r := range runs {
			if !r.Done && (r.ID == name || whole && r.Process.Group == group) {
				refs = append(refs, keeper.Ref{ID: r.ID, Token: r.Token})
			}
		}
		if len(refs) == before {
			return nil, fmt.Errorf("%s: this machine does not run it; `distsuperagent status -l` shows what it runs", name)
		}
	}
	slices.SortFunc(refs, func(a, b keeper.Ref) int { return strings.Compare(a.ID, b.ID) })
	return slices.Compact(refs), nil
}

// stopRuns stops runs, all at once, and waits until they are over or ctx ends.
func stopRuns(ctx context.Context, k *keeper.Client, refs []keeper.Ref) []stoppedHere {
	answers := make([]stoppedHere, len(refs))
	open := map[keeper.Ref]int{}
	for i, ref := range refs {
		answers[i].Process = ref.ID
		if err := k.StopByHand(ctx, ref, client.Who()); err != nil {
			answers[i].Error = err.Error()
			continue
		}
		open[ref] = i
	}
	for since := uint64(0); len(open) > 0; {
		now, err := k.Changes(ctx, since)
		if err != nil {
			for _, i := range open {
				answers[i].Error = fmt.Sprintf("it was sent the stop signal, and has not ended yet: %v", err)
			}
			return answers
		}
		for ref, i := range open {
			if over(now, since == 0, ref) {
				answers[i].Stopped = true
				delete(open, ref)
			}
		}
		since = now.Seq
	}
	return answers
}

// over reports whether a run has ended, as far as a snapshot tells. Of what it does not list only one of everything tells.
func over(s keeper.Snapshot, everything bool, ref keeper.Ref) bool {
	is := func(r keeper.Run) bool { return r.ID == ref.ID && r.Token == ref.Token }
	if i := slices.IndexFunc(s.Runs, is); i >= 0 {
		return s.Runs[i].Done
	}
	return everything || slices.Contains(s.Forgot, ref)
}

// seenFromHere is how this machine stands with etcd, as its agent says or, when that does not answer, its keeper.
func seenFromHere(ctx context.Context, cfg *config.Config) contact.Contact {
	s, err := look(ctx, cfg, false)
	if err != nil || s.Contact == nil {
		return contact.Contact{State: contact.StateUnknown}
	}
	return *s.Contact
}
