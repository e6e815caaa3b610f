package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/gate"
)

func TestNumberBecomesBytesOnlyBehindTail(t *testing.T) {
	for line, want := range map[string]string{
		"tail -f -100 web": "tail -f --bytes=100 web", "-c x maintail -5": "-c x maintail --bytes=5", "signal -9 web": "signal -9 web", "-100": "-100",
	} {
		if got := strings.Join(tailNumber(strings.Fields(line)), " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestTableIsAligned(t *testing.T) {
	var b strings.Builder
	if err := table(&b, []string{"NAME", "N", ""}, [][]string{{"a", "100", ""}, {"l\u00e4nger", "2", "x"}}); err != nil {
		t.Fatal(err)
	}
	if want := "NAME    N\na       100\nl\u00e4nger  2    x\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestJSONFieldsAreStable(t *testing.T) {
	fields := func(v any) (out []string) {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return out
	}
	for _, c := range []struct {
		of   any
		want string
	}{
		{row{}, "name group program statecode machine description state pid started stopped exit signal fenced_after_ms stopped_by starts reason fault stdout_log stderr_log output_held output_held_since token machine_live want asked_by restarts waiting_for waiting single_server as_of"},
		{machineRow{}, "name state live cordoned draining cordoned_by confirmed_dead_by processes max_processes touches starting addresses labels version keeper_version version_differs single_server api host instance since silent_since losses lost_last avoided_seconds trouble trouble_since tried_again warning refuses_etcd"},
		{result{}, "process changed ok result reason state machine"},
		{loadResult{}, "source dry_run added changed removed unchanged stops restarts single_server"},
		{controllerRow{}, "id role host http version member waits_until"},
		{whyRow{}, "process state reason want asked_by asked_at being_removed machine machine_live token placed decided_at decision move_refused rejected failed proof waiting_for waiting touched touch_seconds_left on_partition status history held_by held_since held_until as_of"},
	} {
		if got := strings.Join(fields(c.of), " "); got != c.want {
			t.Errorf("%T: fields are for ever; they are\n%s, want\n%s", c.of, got, c.want)
		}
	}
}

func TestEveryCommandWritesJSON(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", func(p *api.Program) { p.Environment = map[string]string{"SECRET": "s3cr3t"} }))
		for _, args := range []string{"start web", "restart web", "status", "status web", "machines", "why web", "history", "history web", "history m1",
			"controllers", "show", "rebalance", "move web", "cordon m1", "uncordon m1", "drain m1", "version", "stop web", "start none", "remove web", "init db"} {
			r := f.ctl(append(strings.Fields(args), "--json")...)
			var v any
			if err := json.Unmarshal([]byte(r.out), &v); err != nil {
				t.Errorf("%s --json: %v in\n%s%s", args, err, r.out, r.errout)
			}
			if strings.Contains(r.out+r.errout, "s3cr3t") {
				t.Errorf("%s --json shows a value of the environment:\n%s", args, r.out)
			}
		}
	})
}

func TestBesideJSONSupervisorctlsWordsGoToStderr(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		for args, want := range map[string]string{
			"start": "requires a process name", "tail web sideways": "bad channel 'sideways'", "tail nope": "no such process name", "why nope": "no such process",
			"status nope": "no such process", "fg web": "process not running", "fg nope": "bad process name", "tail web": "no log file", "reload now": "accepts no arguments",
		} {
			r := f.ctl(append(strings.Fields(args), "--json")...)
			if r.code == exitOK || !json.Valid([]byte(r.out)) || !strings.Contains(r.errout, want) {
				t.Errorf("%s --json: exit %d, said %q and on stderr %q, want %q there", args, r.code, r.out, r.errout, want)
			}
		}
	})
}

func TestValuesOfTheEnvironmentAreShownOnDemandOnly(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		secret := func(p *api.Program) { p.Environment = map[string]string{"SECRET": "s3cr3t"} }
		f.load(program("web", secret))
		if r := f.wants(exitOK, "*", "show", "web"); strings.Contains(r.out, "s3cr3t") || !strings.Contains(r.out, "SECRET") {
			t.Error(r.out)
		}
		if r := f.wants(exitOK, "*", "show", "web", "--show-environment"); !strings.Contains(r.out, "s3cr3t") {
			t.Error(r.out)
		}
	})
}

func TestHistoryTellsOfProcessesAndMachines(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		f.wants(exitOK, "m1: cordoned\n", "cordon", "m1")
		for _, c := range []struct{ about, want string }{
			{"web", "web  start asked  [ann@desk]"}, {"web", "placed on m1"}, {"m1", "m1  cordoned  [ann@desk]"}, {"m1", "web  started on m1"}, {"", "m1  cordoned"},
		} {
			if r := f.wants(exitOK, "*", slices.DeleteFunc([]string{"history", c.about}, func(s string) bool { return s == "" })...); !strings.Contains(r.out, c.want) {
				t.Errorf("history %s has no %q:\n%s", c.about, c.want, r.out)
			}
		}
		f.wants(exitGeneric, "", "history", "nobody")
	})
}

func TestWatchedStatusAndHistoryTellEveryChangeOverAnOutage(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil), program("db", nil))
		ctx, cancel := context.WithCancel(t.Context())
		status, history := f.session(), f.session()
		ended := make(chan int, 2)
		go func() { ended <- execute(ctx, status.ctl, []string{"status", "-w", "web"}) }()
		go func() { ended <- execute(ctx, history.ctl, []string{"history", "-f", "web"}) }()
		status.stdout.await(t, "Not started")
		synctest.Wait() // the history is followed, too
		f.server.Restart(2 * time.Second)
		time.Sleep(5 * time.Second)
		f.wants(exitOK, "*", "start", "all")
		status.stdout.await(t, "RUNNING   m1") // changes that come fast are told together
		f.wants(exitOK, "*", "stop", "web")
		status.stdout.await(t, "STOPPED   m1")
		history.stdout.await(t, "stop asked")
		cancel()
		for range 2 {
			if code := <-ended; code != exitOK {
				t.Errorf("exit %d", code)
			}
		}
		out := status.stdout.String()
		for _, want := range []string{"STOPPED   -  Not started", "RUNNING   m1", "STOPPED   m1"} {
			if !strings.Contains(out, want) {
				t.Errorf("status -w has no %q:\n%s", want, out)
			}
		}
		if strings.Contains(out, "db") {
			t.Errorf("it tells of what was not asked:\n%s", out)
		}
		if errout := status.stderr.String(); !strings.Contains(errout, "etcd does not answer") || !strings.Contains(errout, "answers again") {
			t.Errorf("status -w did not tell the outage: %s", errout)
		}
		told := history.stdout.String()
		if strings.Count(told, "web  start asked") != 1 || strings.Count(told, "web  stop asked") != 1 {
			t.Errorf("history -f told\n%s", told)
		}
	})
}

func TestWatchedStatusSaysThatANameMeansNothingYet(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		ctx, cancel := context.WithCancel(t.Context())
		s := f.session()
		ended := make(chan int, 1)
		go func() { ended <- execute(ctx, s.ctl, []string{"status", "-w", "web"}) }()
		s.stdout.await(t, "no such process")
		f.load(program("web", nil))
		s.stdout.await(t, "STOPPED")
		cancel()
		code := <-ended
		if out := s.stdout.String(); code != exitOK || !strings.HasPrefix(out, "web: ERROR (no such process)\n") || strings.Count(out, "web") != 2 || !strings.Contains(out, "STOPPED") {
			t.Errorf("exit %d, said\n%s", code, out)
		}
	})
}

func TestInitConfigOverwritesOnlyWithForce(t *testing.T) {
	dir := t.TempDir()
	s := (&fleet{t: t}).session()
	if err := runInitConfig(s.ctl, initConfigOptions{}, dir); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, config.FileName)
	if text, err := os.ReadFile(name); err != nil || string(text) != config.Template() {
		t.Errorf("it wrote %q, %v", text, err)
	}
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := runInitConfig(s.ctl, initConfigOptions{}, dir); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Errorf("over a file: %v", err)
	}
	if text, _ := os.ReadFile(name); string(text) != "mine" {
		t.Errorf("it overwrote the file with %q", text)
	}
	if err := runInitConfig(s.ctl, initConfigOptions{force: true}, dir); err != nil {
		t.Error(err)
	}
}

func TestJoinTextReadsBackToTheSameSettings(t *testing.T) {
	dir := t.TempDir()
	pem := "-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n"
	if err := os.WriteFile(filepath.Join(dir, "key.pem"), []byte(pem), 0o600); err != nil {
		t.Fatal(err)
	}
	var cfg config.Config
	cfg.Etcd = config.EtcdConfig{Endpoints: []string{"https://a:2379", "https://b:2379"}, Prefix: "/x%y/", Username: "u", Password: "p%40;x",
		CA: pem, Cert: pem, Key: filepath.Join(dir, "key.pem")}
	text, err := joinText(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "distsuper.ini")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Options{Program: config.Ctl, Cwd: dir, Host: "h"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	s := (&fleet{t: t}).session()
	s.cfg, s.json = &cfg, true
	var wrote struct{ File string }
	if err := runJoin(s.ctl, initConfigOptions{out: filepath.Join(dir, "m2.ini")}); err != nil || json.Unmarshal([]byte(s.stdout.String()), &wrote) != nil || wrote.File == "" {
		t.Errorf("as JSON: %v, %s", err, s.stdout)
	}
	want := cfg.Etcd
	want.Key = pem
	if !reflect.DeepEqual(got.Etcd, want) {
		t.Errorf("%+v, want %+v", got.Etcd, want)
	}
}

func TestWithoutConfigurationOrEtcdTheErrorSaysWhatToDo(t *testing.T) {
	gate.RealTime(t)
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args string
		code int
		say  string
	}{
		{"status", exitUsage, "distsuperctl init config"},
		{"status --etcd-endpoints 127.0.0.1:1", exitUnreachable, "127.0.0.1:1: connection refused"},
		{"load --etcd-endpoints 127.0.0.1:1", exitUsage, "-c FILE"},
		{"start", exitUsage, "start NAME..."},
		{"status --bogus", exitUsage, "unknown flag"},
		{"frobnicate", exitGeneric, "no command \"frobnicate\""},
		{"statsu --x", exitGeneric, "did you mean status?"},
	} {
		s := (&fleet{t: t}).session()
		s.ctl.kv, s.ctl.client = nil, nil
		begin := time.Now()
		code := execute(t.Context(), s.ctl, strings.Fields(c.args))
		if code != c.code || !strings.Contains(s.stderr.String(), c.say) || !strings.HasPrefix(s.stderr.String(), "distsuperctl: ") {
			t.Errorf("%s: exit %d, %s", c.args, code, s.stderr)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%s took %v", c.args, took)
		}
	}
}

func TestEveryCommandHasAnExampleAndItsHelpEndsWithExitCodes(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks words: %q", cmd.CommandPath(), cmd.Short)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot((&fleet{t: t}).session().ctl))
	s := (&fleet{t: t}).session()
	if code := execute(t.Context(), s.ctl, []string{"start", "--help"}); code != exitOK || !strings.HasSuffix(s.stdout.String(), exitHelp) {
		t.Errorf("exit %d\n%s", code, s.stdout)
	}
}

func TestCommandsAboutOneProcessSayWhichANameCouldMean(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(copies("web", 2))
		for _, command := range []string{"why", "tail", "fg", "move"} {
			r := f.ctl(command, "web:*")
			if r.code != exitGeneric || !strings.Contains(r.errout, "several processes: web:web_0, web:web_1") {
				t.Errorf("%s web:*: exit %d, said %s%s", command, r.code, r.out, r.errout)
			}
		}
	})
}

// What a program reads is one document whatever happens, and no reason is lost beside it.
func TestWithJSONAFailureIsOneDocumentTooAndSaysWhy(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		for _, c := range []struct {
			args string
			code int
			why  string
		}{
			{"start", exitUsage, "start requires a process name"},
			{"avail x", exitGeneric, "avail accepts no arguments"},
			{"tail nope", exitGeneric, "no such process name"},
			{"tail -x web", exitGeneric, "bad argument -x"},
			{"nope", exitGeneric, "Unknown syntax: nope"},
			{"status --nope", exitUsage, "unknown flag: --nope"},
			{"shutdown", exitUsage, "shutdown --fleet"},
			{"why", exitUsage, "accepts 1 arg"},
			{"config show nope", exitGeneric, "nope"},
			{"fg nope", exitGeneric, "bad process name"},
		} {
			r := f.ctl(append(strings.Fields(c.args), "--json")...)
			var doc failureDoc
			if err := json.Unmarshal([]byte(r.out), &doc); err != nil {
				t.Errorf("%s --json: %v in %q", c.args, err, r.out)
				continue
			}
			if r.code != c.code || doc.ExitCode != c.code || !strings.Contains(doc.Error, c.why) || !strings.Contains(r.errout, c.why) {
				t.Errorf("%s --json: exit %d, %+v and on stderr %q; want exit %d and %q in both", c.args, r.code, doc, r.errout, c.code, c.why)
			}
		}
		if r := f.ctl("stop", "nope:*", "--json"); !strings.Contains(r.out, noSuchGroup) {
			t.Errorf("of an unknown group it says %s", r.out)
		}
	})
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestWhatCannotBeToldIsAFailure(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		for _, args := range []string{"start web", "status", "pid all", "history", "show", "stop web", "status --json", "start nope", "start nope --json", "help"} {
			s := f.session()
			s.ctl.out = fullDisk{}
			code := execute(t.Context(), s.ctl, strings.Fields(args))
			if code != exitGeneric || !strings.Contains(s.stderr.String(), syscall.ENOSPC.Error()) {
				t.Errorf("%s on a full disk: exit %d, %q", args, code, s.stderr.String())
			}
		}
	})
}

func TestANameInWhichNothingIsCountsAsNone(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(exitGeneric, "Error: stop requires a process name\n", "stop", "")
		f.wants(exitUsage, "Error: start requires a process name\n", "start", " ", "")
		f.wants(exitDead, "web                              STOPPED   -  Not started\n", "status", "")
		f.wants(exitOK, "web: ERROR (not running)\n", "stop", "--timeout", "1m", "", "web")
	})
}
