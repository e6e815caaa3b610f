package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/trust"
	"github.com/distsuper/distsuper/test/reaper"
)

// runFails lets the daemon end at once.
const runFails = "DISTSUPERD_TEST_RUN_FAILS"

// The test binary is distsuperd and its etcd, too: called with a command it is what the real one is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "run" && os.Getenv(runFails) != "" {
		os.Exit(7)
	}
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		main()
	}
	os.Exit(reaper.Run(m.Run))
}

// testHost is one with a distsuperd of the test's.
type testHost struct {
	t    *testing.T
	dir  string
	file string
}

func (h *testHost) distsuperd(args ...string) string {
	h.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	out, err := exec.Command(exe, append(args, "-c", h.file)...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("distsuperd %q: %v: %s", args, err, out)
	}
	return string(out)
}

// self is the distsuperd as distsuperctl finds it.
func (h *testHost) self(ctx context.Context) *rpc.Client {
	h.t.Helper()
	endpoint, err := embedded.Endpoint(filepath.Join(h.dir, ".distsuper"))
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := client.Open(ctx, client.Config{Store: etcd.Config{Endpoints: []string{endpoint}}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	var value store.RangeResult
	published := daemoncmd.Until(ctx, func() bool { // a moment after it is ready
		value, err = c.KV().Range(ctx, store.Range{Key: c.Keys().Controller("d1")})
		return err != nil || len(value.Entries) == 1
	})
	if !published || err != nil {
		h.t.Fatalf("its entry is %+v, %v", value.Entries, err)
	}
	d, err := store.Decode[api.Controller](value.Entries[0])
	if err != nil {
		h.t.Fatal(err)
	}
	cert, err := trust.Mint(ctx, c.KV(), c.Keys(), "ann@host")
	if err != nil {
		h.t.Fatal(err)
	}
	self := rpc.NewClient(d.HTTP, mtls.ClientConfig(cert, d.Fingerprint))
	h.t.Cleanup(self.Close)
	return self
}

func TestControllerBeginsAnewInItsPlaceAndEndsWhenAsked(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	h := &testHost{t: t, dir: dir, file: filepath.Join(dir, "distsuper.ini")}
	write := func(text string) {
		if err := os.WriteFile(h.file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const conf = "[distsuperd]\nid=d1\nhttp=127.0.0.1:0\n"
	write(conf)
	h.distsuperd("start")
	t.Cleanup(func() { h.distsuperd("stop", "--all") })
	self := h.self(ctx)
	before, err := self.Daemon(ctx)
	if err != nil || before.Program != "distsuperd" || before.Identifier != "d1" || before.File != h.file {
		t.Fatalf("it says %+v, %v", before, err)
	}
	if _, err := self.DaemonPrograms(ctx); !errors.Is(err, rpc.ErrBadRequest) {
		t.Errorf("of programs it says %v", err)
	}
	write(conf + "settle=soon\n")
	if err := self.DaemonReload(ctx); err == nil || !strings.Contains(err.Error(), "settle") {
		t.Errorf("of settings that it would refuse it says %v", err)
	}
	write(conf)
	if err := self.DaemonReload(ctx); err != nil {
		t.Fatal(err)
	}
	log := func() string { text, _ := os.ReadFile(before.Log); return string(text) }
	await := func(what string, is func() bool) {
		t.Helper()
		for !is() {
			select {
			case <-ctx.Done():
				t.Fatalf("%s\n%s", what, log())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	await("it does not restart", func() bool { return strings.Count(log(), "INFO ready") == 2 })
	if status := h.distsuperd("status"); !strings.Contains(status, fmt.Sprintf("is running (pid %d)", before.PID)) {
		t.Errorf("its pid was %d; %s", before.PID, status)
	}
	if err := h.self(ctx).DaemonStop(ctx); err != nil {
		t.Fatal(err)
	}
	await("it does not end", func() bool { return strings.Contains(log(), "INFO ended") })
	if !strings.Contains(log(), `asked to stop {"by": "ann@host"}`) {
		t.Errorf("its log does not say who stopped it\n%s", log())
	}
	if !embedded.Running(filepath.Join(dir, ".distsuper")) {
		t.Error("its etcd has ended, which whoever asked may need yet")
	}
}
