package supervisor

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

func TestEveryFaultHasItsNameAndCode(t *testing.T) {
	last := Fault(0)
	for _, f := range Faults {
		if f <= last {
			t.Errorf("%d comes after %d", f, last)
		}
		last = f
		if _, ok := faultNames[f]; !ok {
			t.Errorf("fault %d has no name", f)
		}
	}
	if len(faultNames) != len(Faults) {
		t.Errorf("%d names for %d faults", len(faultNames), len(Faults))
	}
	if got := BadName.Text("web:1"); got != "BAD_NAME: web:1" {
		t.Errorf("Text = %q", got)
	}
	if got := CantReread.Text(""); got != "CANT_REREAD" {
		t.Errorf("Text = %q", got)
	}
	if got := Fault(5).String(); got != "FAULT(5)" {
		t.Errorf("String = %q", got)
	}
}

func TestUptimeReadsLikePythonsTimedelta(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0:00:00"},
		{-time.Hour, "0:00:00"},
		{5*time.Second + 999*time.Millisecond, "0:00:05"},
		{time.Minute, "0:01:00"},
		{10*time.Hour + 2*time.Minute + 3*time.Second, "10:02:03"},
		{day, "1 day, 0:00:00"},
		{day + 23*time.Hour + 59*time.Minute + 59*time.Second, "1 day, 23:59:59"},
		{40*day + time.Hour, "40 days, 1:00:00"},
	} {
		if got := Uptime(c.d); got != c.want {
			t.Errorf("Uptime(%v) = %q, want %q", c.d, got, c.want)
		}
	}
}

func TestDescriptionOfEachState(t *testing.T) {
	now := time.Date(2026, 1, 5, 15, 4, 5, 0, time.UTC)
	started, stopped := now.Add(-5*time.Second), time.Date(2026, 1, 5, 0, 7, 0, 0, time.UTC)
	for _, c := range []struct {
		name string
		d    Description
		want string
	}{
		{"running", Description{State: api.Running, PID: 4242, Started: started}, "pid 4242, uptime 0:00:05"},
		{"stopped", Description{State: api.Stopped, Started: started, Stopped: stopped}, "Jan 05 12:07 AM"},
		{"exited", Description{State: api.Exited, Started: started, Stopped: now}, "Jan 05 03:04 PM"},
		{"never started", Description{State: api.Stopped}, "Not started"},
		{"fatal", Description{State: api.Fatal, SpawnError: CantFind("/x")}, "can't find command '/x'"},
		{"backoff", Description{State: api.Backoff, SpawnError: ExitedTooQuickly}, ExitedTooQuickly},
		{"fatal without a text", Description{State: api.Fatal, Name: "g:p"}, `unknown error (try "tail g:p")`},
		{"starting", Description{State: api.Starting, PID: 1, Started: started}, ""},
		{"stopping", Description{State: api.Stopping, PID: 1, Started: started}, ""},
		{"unknown", Description{State: api.Unknown}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.d.Text(now); got != c.want {
				t.Errorf("Text = %q, want %q", got, c.want)
			}
		})
	}
}

func TestStatusLineColumns(t *testing.T) {
	if got, want := StatusLine(StatusWidth([]string{"web"}), "web", api.Running, "pid 1"),
		"web                              RUNNING   pid 1"; got != want {
		t.Errorf("%q\n%q", got, want)
	}
	long := "a-process-name-that-is-longer-than-thirty"
	if got := StatusWidth([]string{"x", long}); got != len(long) {
		t.Errorf("StatusWidth = %d", got)
	}
}

func TestExitCodesOfStatus(t *testing.T) {
	for _, c := range []struct {
		name    string
		shown   []api.State
		unknown bool
		want    int
	}{
		{"all up", []api.State{api.Running, api.Starting, api.Backoff, api.Stopping}, false, 0},
		{"one stopped", []api.State{api.Running, api.Stopped}, false, 3},
		{"one fatal", []api.State{api.Fatal, api.Running}, false, 3},
		{"unknown name", []api.State{api.Running}, true, 4},
		{"a stopped one outweighs an unknown name", []api.State{api.Exited}, true, 3},
		{"nothing", nil, false, 0},
	} {
		if got := StatusExit(c.shown, c.unknown); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestExitCodesOfCommands(t *testing.T) {
	for _, c := range []struct {
		name string
		got  int
		want int
	}{
		{"started", StartExit(Success), 0},
		{"already started", StartExit(AlreadyStarted), 0},
		{"no file", StartExit(NoFile), 1},
		{"bad name", StartExit(BadName), 1},
		{"spawn error", StartExit(SpawnError), 7},
		{"abnormal termination", StartExit(AbnormalTermination), 7},
		{"stopped", StopExit(Success), 0},
		{"not running", StopExit(NotRunning), 0},
		{"stop of a bad name", StopExit(BadName), 1},
		{"signal of what does not run", SignalExit(NotRunning), 7},
		{"bad signal", SignalExit(BadSignal), 1},
		{"signalled", SignalExit(Success), 0},
	} {
		if c.got != c.want {
			t.Errorf("%s: %d, want %d", c.name, c.got, c.want)
		}
	}
}

func TestQuoteIsPythonsRepr(t *testing.T) {
	for in, want := range map[string]string{
		`/bin/x`: `'/bin/x'`, `it's`: `"it's"`, `a"b`: `'a"b'`, `'"`: `'\'"'`, "a\nb": `'a\nb'`, `a\b`: `'a\\b'`,
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestOutputIsCopiedInSupervisorsWords(t *testing.T) {
	for in, want := range map[string]string{
		"hello\n":  "'x' stderr output:\nhello\n",
		"":         "'x' stderr output:\n",
		"r\u00e9d": "'x' stderr output:\nr\u00e9d",
		"red\n\n\tx\xffy\r\x00\\~\x7f": `'x' stderr output:
Undecodable: b'red\n\n\tx\xffy\r\x00\\~\x7f'`,
		"it's \xfe": "'x' stderr output:\nUndecodable: b\"it's \\xfe\"",
		"it's \"\xfe\"": `'x' stderr output:
Undecodable: b'it\'s "\xfe"'`,
	} {
		if got := Output("x", "stderr", []byte(in)); got != want {
			t.Errorf("Output of %q is %q, want %q", in, got, want)
		}
	}
}
