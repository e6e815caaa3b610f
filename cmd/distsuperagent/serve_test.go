package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
)

func TestTheAgentDoesNotStartBesideASoloOfTheSameFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "supervisord.conf")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := refuseBesideSolo(file); err != nil {
		t.Fatalf("with no solo: %v", err)
	}
	runtime, err := config.MakeSoloRuntime(file, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	l, err := net.Listen("unix", config.SoloSocket(runtime))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := refuseBesideSolo(file); err == nil || daemon.Code(err) != daemon.ExitUsage || !strings.Contains(err.Error(), "shutdown") {
		t.Errorf("beside a solo: %v", err)
	}
}
