package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/test/reaper"
)

// The test binary plays every part: the tests, the keeper (a process of its own, since it
// must own its main thread and may be killed), and the keeper's guardian.
const (
	envRole  = "ENGINE_TEST_ROLE"
	envState = "ENGINE_TEST_STATE"
	// envLinger is Options.Linger, a millisecond when it is not set.
	envLinger = "ENGINE_TEST_LINGER"
	// envAlone makes a keeper that is alone and tells every change on stderr. Its value is Options.First, a list with commas.
	envAlone = "ENGINE_TEST_ALONE"
	// envWitness is the file of a witness.
	envWitness = "ENGINE_TEST_WITNESS"
)

// witness is a program that ignores TERM and writes the boot time into a file, all the time that it lives: what
// it wrote last is when it was alive for sure, whoever looks and however late.
func witness(path string) {
	signal.Ignore(unix.SIGTERM)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		os.Exit(1)
	}
	for {
		fmt.Fprintf(file, "%d\n", clock.Real{}.Now())
		time.Sleep(2 * time.Millisecond)
	}
}

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(guardian.Environment) != "":
		os.Exit(guardian.Main())
	case os.Getenv(envRole) == "keeper":
		os.Unsetenv(envRole)
		os.Exit(keeperMain(os.Getenv(envState)))
	case os.Getenv(envRole) == "witness":
		witness(os.Getenv(envWitness))
	case os.Getenv(envRole) == "token":
		os.Exit(tokenHolder(os.Getenv(envWitness)))
	}
	os.Exit(reaper.Run(m.Run))
}

// call is a line from the test to the keeper.
type call struct {
	ID     int                 `json:"id"`
	Method string              `json:"method"`
	Start  keeper.StartRequest `json:"start,omitzero"`
	Ref    keeper.Ref          `json:"ref,omitzero"`
	Leases []keeper.Lease      `json:"leases,omitempty"`
	Text   string              `json:"text,omitempty"`
	Since  uint64              `json:"since,omitempty"`
	Remove bool                `json:"remove,omitempty"`
}

// answer is a line from the keeper to the test.
type answer struct {
	ID          int                `json:"id"`
	Error       string             `json:"error,omitempty"`
	Kind        string             `json:"kind,omitempty"`
	Hello       keeper.Hello       `json:"hello,omitzero"`
	Snapshot    keeper.Snapshot    `json:"snapshot,omitzero"`
	Transitions keeper.Transitions `json:"transitions,omitzero"`
}

// sentinels keep their identity over the pipe.
var sentinels = map[string]error{
	"deadline": keeper.ErrDeadline, "token": keeper.ErrToken, "not found": keeper.ErrNotFound,
	"not running": keeper.ErrNotRunning, "closing": keeper.ErrClosing,
}

// keeperMain is a keeper that speaks lines of JSON on its standard input and output.
func keeperMain(dir string) int {
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), zapcore.AddSync(os.Stderr), zap.InfoLevel))
	collector, err := logs.New(logs.Options{Auto: logs.Auto{Dir: LogDir(dir)}}, log)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer collector.Close()
	linger, err := time.ParseDuration(os.Getenv(envLinger))
	if err != nil {
		linger = time.Millisecond
	}
	o := Options{Dir: dir, Logs: collector, Logger: log, Version: "test", GuardianCommand: []string{"guardian"}, Linger: linger}
	if first, alone := os.LookupEnv(envAlone); alone {
		o.Mode, o.First = mode.Alone, strings.Split(first, ",")
		o.Watch = func(t keeper.Transition, p api.Process) {
			what, exit := string(t.Kind), ""
			if t.Kind == keeper.StateChanged {
				what = t.To.String()
			}
			if t.Kind == keeper.CopyEnded {
				exit = fmt.Sprintf(" expected=%v quick=%v exit=%d %s", t.Expected, t.Quick, *t.Exit, t.Signal)
			}
			fmt.Fprintln(os.Stderr, strings.TrimSpace(fmt.Sprintf("watch %s %s%s", p.ID(), what, exit)))
		}
	}
	e, err := New(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if o.Mode == mode.Alone { // signals are the program's
		ends := make(chan os.Signal, 1)
		signal.Notify(ends, unix.SIGTERM)
		go func() { <-ends; e.Shutdown(context.Background()) }()
	}
	go serve(e)
	if err := e.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serve(e *Engine) {
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	in := bufio.NewReader(os.Stdin)
	dec := json.NewDecoder(in)
	for {
		var c call
		if err := dec.Decode(&c); err != nil {
			return
		}
		go func() {
			a := perform(e, c)
			mu.Lock()
			defer mu.Unlock()
			out.Encode(a)
		}()
	}
}

func perform(e *Engine, c call) answer {
	ctx := context.Background()
	a := answer{ID: c.ID}
	var err error
	switch c.Method {
	case "hello":
		a.Hello, err = e.Hello(ctx)
	case "changes":
		a.Snapshot, err = e.Changes(ctx, c.Since)
	case "transitions":
		a.Transitions, err = e.Transitions(ctx, keeper.Cursor{})
	case "start":
		err = e.Start(ctx, c.Start)
	case "start abandoned":
		err = e.Start(abandoned{ctx}, c.Start)
	case "update":
		err = e.Update(ctx, c.Start)
	case "stop":
		err = e.Stop(ctx, c.Ref)
	case "kill":
		err = e.Kill(ctx, c.Ref)
	case "renew":
		err = e.Renew(ctx, c.Leases)
	case "forget":
		err = e.Forget(ctx, c.Ref, c.Remove)
	case "signal":
		err = e.Signal(ctx, c.Ref, c.Text)
	case "stdin":
		err = e.Stdin(ctx, c.Ref, []byte(c.Text))
	case "owner":
		err = e.SetOwner(ctx, c.Text)
	case "shutdown":
		err = e.Shutdown(ctx)
	default:
		err = fmt.Errorf("no method %q", c.Method)
	}
	if err != nil {
		a.Error = err.Error()
		for name, sentinel := range sentinels {
			if errors.Is(err, sentinel) {
				a.Kind = name
			}
		}
	}
	return a
}
