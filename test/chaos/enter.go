package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/test/reaper"
	"github.com/distsuper/distsuper/test/witness"
)

// Role is the first argument by which a binary plays a round; Main does it.
const Role = "play-a-round-of-chaos"

// Options say which round is played, and where.
type Options struct {
	Seed   uint64 `json:"seed"`
	Faults int    `json:"faults"`
	Dir    string `json:"dir"`  // an empty folder with a short name
	Bin    string `json:"bin"`  // the folder of the three binaries, and of the witness
	Hogs   int    `json:"hogs"` // that starve every second round
	// Only is the one kind of fault of a round that tries the judge; "" is a round as it is drawn.
	Only string `json:"only,omitempty"`
}

// plan is what is to be played.
func (o Options) plan() Plan {
	p := Draw(o.Seed, o.Faults)
	if o.Only != "" {
		p.Bursts = p.onlyOf(o.Only, o.Faults)
	}
	return p
}

func (o Options) say(format string, args ...any) {
	fmt.Printf("%s  seed %d: %s\n", time.Now().Format(time.TimeOnly), o.Seed, fmt.Sprintf(format, args...))
}

// Result is what came of a round.
type Result struct {
	Plan    Plan
	Verdict Verdict
	Copies  int     // that testified
	Load    float64 // threads that had or wanted a processor, on average
	Broken  string  // why the round could not be played to its end; "" when it was
}

// Held reports whether the round shows what is promised. A gap that is too long, and an end in an outage, count unless the host was starved.
func (r Result) Held(strict bool) bool {
	v := r.Verdict
	return r.Broken == "" && len(v.Overlaps)+len(v.Wrong) == 0 && (!strict || len(v.Late)+len(v.Ended) == 0)
}

// Play plays a round in namespaces of its own. The binary that calls it must call Main for Role.
func Play(ctx context.Context, o Options) (res Result, err error) {
	self, err := os.Executable()
	if err != nil {
		return res, err
	}
	options, err := json.Marshal(o)
	if err != nil {
		return res, err
	}
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
		self, Role, string(options))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	runErr := cmd.Run()
	text, err := os.ReadFile(filepath.Join(o.Dir, "result.json"))
	if err != nil {
		return res, errors.Join(runErr, err)
	}
	return res, json.Unmarshal(text, &res)
}

// Main is the program of a round: the first process of its namespaces, which buries the dead, and a child that plays.
func Main(args []string) int {
	return reaper.Run(func() int {
		if err := perform(args); err != nil {
			fmt.Fprintln(os.Stderr, "chaos:", err)
			return 1
		}
		return 0
	})
}

func perform(args []string) error {
	var o Options
	if len(args) != 1 {
		return errors.New("a round takes one argument")
	}
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	res, err := play(ctx, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		res.Broken = err.Error()
	}
	h, err := ReadHistory(o)
	if err != nil {
		return err
	}
	res.Plan, res.Verdict, res.Copies = o.plan(), Judge(h), len(h.Copies)
	text, err := json.MarshalIndent(res, "", "\t")
	if err != nil {
		return err
	}
	if !res.Held(true) {
		if err := os.WriteFile(filepath.Join(o.Dir, "timeline"), []byte(Timeline(h.Events, h.Copies)), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(o.Dir, "result.json"), text, 0o600)
}

// ReadHistory reads what is left of a round.
func ReadHistory(o Options) (h History, err error) {
	if h.Copies, err = witness.Read(filepath.Join(o.Dir, "sightings")); err != nil {
		return h, err
	}
	if h.Events, err = ReadJournal(filepath.Join(o.Dir, "journal")); err != nil {
		return h, err
	}
	h.TouchTimeouts = map[string]int{}
	for _, p := range o.plan().Programs {
		for _, id := range processIDs(p) {
			h.TouchTimeouts[id] = p.TouchTimeout
		}
	}
	return h, nil
}
