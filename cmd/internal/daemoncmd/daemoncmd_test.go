package daemoncmd

import (
	"context"
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
)

var tested = Daemon{Name: config.Agent, Home: func(c *config.Config) (string, config.LogConfig) { return c.Agent.StateDir, c.Agent.Log }}

func execute(t *testing.T, run func(*cobra.Command) error, args ...string) (string, error) {
	t.Helper()
	root := tested.Root("short", "long", "  example")
	sub := &cobra.Command{Use: "sub", Args: NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) }}
	sub.Flags().Duration("timeout", 0, "")
	root.AddCommand(sub)
	var out strings.Builder
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

func TestStartHandsOnTheSettingsOfItsCommandLine(t *testing.T) {
	var got []string
	_, err := execute(t, func(cmd *cobra.Command) error { got = given(cmd); return nil },
		"sub", "--state-dir", "/m2", "--timeout", "3s", "-c", "x.ini", "--machine=m2")
	want := []string{"--config=x.ini", "--machine=m2", "--state-dir=/m2"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("it hands on %q (%v), want %q", got, err, want)
	}
}

func TestWrongUseIsExitCode2(t *testing.T) {
	nothing := func(*cobra.Command) error { return nil }
	for _, args := range [][]string{{}, {"bogus"}, {"--nope"}, {"sub", "arg"}, {"sub", "--timeout", "x"}} {
		if _, err := execute(t, nothing, args...); daemon.Code(err) != daemon.ExitUsage {
			t.Errorf("%q: exit code %d (%v), want 2", args, daemon.Code(err), err)
		}
	}
	for _, args := range [][]string{{"bogus"}, {"--nope"}, {"sub", "arg"}, {"sub", "--timeout", "x"}} {
		if _, err := execute(t, nothing, args...); !strings.Contains(err.Error(), "--help") {
			t.Errorf("%q: %v does not say where to look", args, err)
		}
	}
	if _, err := execute(t, func(*cobra.Command) error { return errors.New("no") }, "sub"); daemon.Code(err) != daemon.ExitFailed {
		t.Errorf("a failure has exit code %d, want 1", daemon.Code(err))
	}
}

func TestHelpEndsWithTheExitCodesAndNamesEverySetting(t *testing.T) {
	out, err := execute(t, nil, "sub", "--help")
	if err != nil || !strings.Contains(out, "3  status: not running") || !strings.Contains(out, "DISTSUPER_AGENT_MACHINE") {
		t.Errorf("the help is (%v)\n%s", err, out)
	}
	if out, err := execute(t, nil, "--version"); err != nil || !strings.HasPrefix(out, "distsuperagent ") {
		t.Errorf("--version says %q (%v)", out, err)
	}
}

func TestWarningNamesWhatIsWrongWithEtcd(t *testing.T) {
	good := store.Member{Endpoint: "a:1", Version: "3.6.5"}
	full := store.Member{Endpoint: "b:1", Version: "3.6.5", Alarms: []string{"NOSPACE"}}
	silent := store.Member{Endpoint: "c:1", Err: errors.New("no answer")}
	old := store.Member{Endpoint: "d:1", Version: "3.5.0"}
	for _, c := range []struct {
		members []store.Member
		want    string
		ok      bool
	}{
		{[]store.Member{good, silent}, "", true},
		{[]store.Member{good, full}, "etcd is full (NOSPACE)", true},
		{[]store.Member{good, old}, etcd.FencingWarning([]string{"3.5.0"}), true},
		{[]store.Member{silent}, "", false},
	} {
		got, ok := Warning(c.members)
		if ok != c.ok || !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("of %+v it says %q, %v; want %q, %v", c.members, got, ok, c.want, c.ok)
		}
	}
	if etcd.FencingWarning([]string{"3.5.0"}) == "" {
		t.Error("the old server of this test is not warned of")
	}
}

func TestAwaitStoreWaitsOnlyWhileEtcdDoesNotAnswer(t *testing.T) {
	for _, last := range []error{nil, store.ErrNoSchema} {
		calls := 0
		err := AwaitStore(t.Context(), &config.Config{}, []string{"127.0.0.1:1"}, daemon.NewNotifier(), zap.NewNop(), func(context.Context) error {
			if calls++; calls < 3 {
				return store.ErrUnavailable
			}
			return last
		})
		if !errors.Is(err, last) || calls != 3 {
			t.Errorf("after %d calls it says %v, want %v", calls, err, last)
		}
	}
}

func TestSignalsTellStopFromTheOtherAndASecondOneHurries(t *testing.T) {
	for _, c := range []struct {
		first unix.Signal
		cause error
	}{{unix.SIGTERM, ErrStop}, {unix.SIGINT, ErrStop}, {unix.SIGUSR1, ErrUSR1}} {
		reloaded := make(chan struct{}, 1)
		reopened := make(chan struct{}, 1)
		ctx, grace, _, done := Signals(t.Context(), func() { reloaded <- struct{}{} }, func() { reopened <- struct{}{} })
		send(t, unix.SIGHUP)
		await(t, reloaded)
		send(t, unix.SIGUSR2)
		await(t, reopened)
		if ctx.Err() != nil {
			t.Error("HUP or USR2 ended it")
		}
		send(t, c.first)
		await(t, ctx.Done())
		if !errors.Is(context.Cause(ctx), c.cause) || grace.Err() != nil {
			t.Errorf("%v: cause %v, grace %v", c.first, context.Cause(ctx), grace.Err())
		}
		send(t, unix.SIGTERM)
		await(t, grace.Done())
		done()
	}
}

func TestASignalAfterARequestToEndHurriesAsASecondOne(t *testing.T) {
	ctx, grace, end, done := Signals(t.Context(), func() {}, func() {})
	defer done()
	end(ErrStopAll)
	await(t, ctx.Done())
	send(t, unix.SIGTERM)
	await(t, grace.Done())
	if !errors.Is(context.Cause(ctx), ErrStopAll) {
		t.Errorf("it ended for %v", context.Cause(ctx))
	}
}

// send signals this process only, which listens by now.
func send(t *testing.T, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), sig); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happened in 20 s")
	}
}
