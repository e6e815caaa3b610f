//go:build linux

package daemon

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAnEarlierDaemonIsStartedAgainAsItWas(t *testing.T) {
	s := newSandbox(t)
	pid, _, err := s.spawn(t.Context(), "runs")
	if err != nil {
		t.Fatal(err)
	}
	earlier, err := Remember(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer earlier.Close()
	if _, err := Stop(t.Context(), s.pidFile, unix.SIGTERM, nil); err != nil {
		t.Fatal(err)
	}
	again, message, err := earlier.Start(t.Context(), "tested", s.pidFile+".log")
	if err != nil || message != "up" || again == pid {
		t.Fatalf("pid %d, %q, %v", again, message, err)
	}
	if found, err := Find(s.pidFile); err != nil || found.PID != again {
		t.Errorf("it is %+v, %v", found, err)
	}
	if _, err := Stop(t.Context(), s.pidFile, unix.SIGTERM, nil); err != nil {
		t.Fatal(err)
	}
}

func TestServicesOfAControlGroup(t *testing.T) {
	for text, want := range map[string][]string{
		"0::/system.slice/distsuperagent.service\n":                                {"distsuperagent.service"},
		"1:name=systemd:/system.slice/ssh.service\n0::/user.slice/session-3.scope": {"ssh.service"},
		"0::/\n": nil,
	} {
		if got := services(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if unit := Unit(t.Context(), unix.Getpid()); unit != "" {
		t.Errorf("this test is %s", unit)
	}
}
