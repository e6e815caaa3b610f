package keeperd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// readTransitions is an agent that follows a keeper's transitions: it writes each answer, with the cursor after it, as one line, and goes
// on after the last line that is there.
func readTransitions(dir, file string) int {
	c := keeper.Dial(keeper.SocketPath(dir))
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	for err == nil {
		var answers []keeper.Transitions
		var cursor keeper.Cursor
		if answers, err = answersIn(file); err != nil {
			break
		}
		if len(answers) > 0 {
			cursor = answers[len(answers)-1].Next
		}
		var found keeper.Transitions
		if found, err = c.Transitions(context.Background(), cursor); err != nil {
			break
		}
		var line []byte
		if line, err = json.Marshal(found); err == nil {
			_, err = out.Write(append(line, '\n'))
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// answersIn reads whole lines only.
func answersIn(file string) (answers []keeper.Transitions, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var found keeper.Transitions
		if line[len(line)-1] != '\n' {
			break
		}
		if err := json.Unmarshal(line, &found); err != nil {
			return nil, err
		}
		answers = append(answers, found)
	}
	return answers, nil
}

// Holds: what happens while an agent is dead is there when the next one asks with its cursor, once and in order. Agents are killed
// wherever they are.
func TestTransitionsOutliveTheAgentsThatFetchThem(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	hello := s.up()
	file := filepath.Join(t.TempDir(), "answers")
	process := api.Process{Group: "crash", Name: "crash", Settings: api.Settings{Command: "exit 3", Shell: true, Autorestart: api.RestartAlways,
		StopSignal: "TERM", StopWaitSecs: 10}}
	ref := keeper.Ref{ID: "crash", Token: 7}
	if err := s.Start(t.Context(), keeper.StartRequest{Token: 7, Process: process, OnPartition: api.PartitionKeep}); err != nil {
		t.Fatal(err)
	}
	for life := range 4 {
		agent := exec.Command(s.cmd.Path)
		agent.Env = append(os.Environ(), envState+"="+s.dir, envReader+"="+file)
		if err := agent.Start(); err != nil {
			t.Fatal(err)
		}
		before := read(t, file)
		s.eventually("the agent reads", func() error {
			if n := read(t, file); n < before+10 {
				return fmt.Errorf("it has read %d", n-before)
			}
			return nil
		})
		if life == 3 {
			if err := s.Stop(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			s.eventually("the agent hears of the end", func() error {
				if last := lastOf(t, file); last.To != api.Stopped {
					return fmt.Errorf("it has heard %+v", last)
				}
				return nil
			})
		}
		agent.Process.Kill()
		agent.Wait()
		starts := s.wait("crash", func(keeper.Run) bool { return true }).Starts
		if life < 3 {
			s.wait("crash", func(r keeper.Run) bool { return r.Starts > starts })
		}
	}
	run := s.wait("crash", func(r keeper.Run) bool { return r.Done })
	answers, err := answersIn(file)
	if err != nil {
		t.Fatal(err)
	}
	seq, spawned, state := uint64(0), 0, api.Stopped
	for _, a := range answers {
		if a.Dropped != 0 || a.OtherKeeper || a.Next.Instance != hello.Instance {
			t.Errorf("an answer says %+v", a)
		}
		for _, step := range a.Transitions {
			if seq++; step.Seq != seq || step.From != state || step.Ref != ref || step.Time.IsZero() || step.Boot == 0 {
				t.Fatalf("after %v, as number %d, comes %+v", state, seq, step)
			}
			state = step.To
			if step.Kind == keeper.CopySpawned {
				spawned++
			}
		}
	}
	if spawned != run.Starts {
		t.Errorf("%d copies were told of, %d were started", spawned, run.Starts)
	}
}

func read(t *testing.T, file string) (n int) {
	t.Helper()
	answers, err := answersIn(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, a := range answers {
		n += len(a.Transitions)
	}
	return n
}

func lastOf(t *testing.T, file string) keeper.Transition {
	t.Helper()
	answers, err := answersIn(file)
	if err != nil || len(answers) == 0 {
		t.Fatal(err)
	}
	last := answers[len(answers)-1].Transitions
	return last[len(last)-1]
}
