package solo

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// self is the daemon as distsuperctl finds a controller: by its entry in the store.
func (r *ran) self() *rpc.Client {
	r.t.Helper()
	c := r.open()
	all, err := c.KV().Range(r.t.Context(), store.Range{Key: c.Keys().Controllers(), Prefix: true})
	if err != nil || len(all.Entries) != 1 {
		r.t.Fatalf("controllers are %+v, %v", all.Entries, err)
	}
	d, err := store.Decode[api.Controller](all.Entries[0])
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := trust.Mint(r.t.Context(), c.KV(), c.Keys(), "ann@host")
	if err != nil {
		r.t.Fatal(err)
	}
	self := rpc.NewClient(d.HTTP, mtls.ClientConfig(cert, d.Fingerprint))
	r.t.Cleanup(self.Close)
	return self
}

func TestItTellsWhoItIsAndWhatItsFileAsksForNow(t *testing.T) {
	t.Parallel()
	r := ours(t).start(t, header+"identifier=me\n"+sleeper)
	self := r.self()
	version, err := exec.Command(r.side.args[0], "solo", "-v").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := rpc.Daemon{Program: "distsuperd solo", PID: r.pid, Version: strings.TrimSpace(string(version)), Identifier: "me", Log: r.path("d.log"), Solo: true, File: r.path("d.conf")}
	if d, err := self.Daemon(t.Context()); err != nil || d != want {
		t.Errorf("it says %+v, %v; want %+v", d, err, want)
	}
	r.write("d.conf", header+sleeper+"[program:b]\ncommand=sleep 1000\ncolour=red\n")
	p, err := self.DaemonPrograms(t.Context())
	if err != nil || len(p.Programs) != 2 || p.Programs[1].Name != "b" {
		t.Errorf("the file asks for %+v, %v", p.Programs, err)
	}
	if !strings.Contains(strings.Join(p.Warnings, "\n"), "colour") {
		t.Errorf("it warns of %q", p.Warnings)
	}
	r.write("d.conf", header+sleeper+"[program:b]\n")
	if _, err := self.DaemonPrograms(t.Context()); err == nil || !strings.Contains(err.Error(), "program:b") {
		t.Errorf("of a file that it would refuse it says %v", err)
	}
	r.stop()
}

func TestItsLogIsReadAndFollowedOverRotations(t *testing.T) {
	t.Parallel()
	r := ours(t).start(t, header+"logfile_maxbytes=300\nlogfile_backups=50\n[program:a]\ncommand=true\nstartsecs=0\nautorestart=true\n")
	self := r.self()
	log, err := self.DaemonLog(t.Context(), -1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	defer time.AfterFunc(patience, func() { log.Close() }).Stop()
	lines := bufio.NewScanner(log)
	last := 0 // pids rise, but for the day when they begin anew
	for n := 0; n < 12 && lines.Scan(); {
		var pid int
		if _, text, ok := strings.Cut(lines.Text(), "spawned: 'a' with pid "); ok {
			if _, err := fmt.Sscan(text, &pid); err != nil || pid < last && last-pid < 1000 {
				t.Fatalf("after pid %d comes %q", last, lines.Text())
			}
			last = pid
			n++
		}
	}
	if err := lines.Err(); err != nil || last == 0 {
		t.Errorf("the log ends with %v, the last pid is %d\n%s", err, last, r.log())
	}
	if _, err := os.Stat(r.path("d.log.1")); err != nil {
		t.Errorf("it was not rotated: %v", err)
	}
	log, err = self.DaemonLog(t.Context(), 10, false)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if text, err := io.ReadAll(log); err != nil || len(text) > 10 {
		t.Errorf("the last 10 bytes are %q, %v", text, err)
	}
	r.stop()
}

func TestItSaysWhyItsLogCannotBeRead(t *testing.T) {
	t.Parallel()
	r := ours(t).prepare(t, "[supervisord]\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n"+sleeper)
	r.run()
	if _, err := r.self().DaemonLog(t.Context(), 10, true); !errors.Is(err, rpc.ErrNoLog) || !strings.Contains(err.Error(), "/dev/null") {
		t.Errorf("it says %v", err)
	}
	r.stop()
}

func TestItReloadsWhenAskedUnlessItsFileWouldBeRefused(t *testing.T) {
	t.Parallel()
	r := ours(t).start(t, header+sleeper)
	r.await("success: a")
	self := r.self()
	r.write("d.conf", header+"[program:b]\ncommand=sleep 1000\nstartsecs=soon\n")
	if err := self.DaemonReload(t.Context()); err == nil || !strings.Contains(err.Error(), "startsecs") {
		t.Errorf("it says %v", err)
	}
	r.write("d.conf", header+"[program:b]\ncommand=sleep 1000\n")
	if err := self.DaemonReload(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.await("received request of ann@host indicating restart request")
	r.await("success: b")
	if log := r.log(); strings.Count(log, fmt.Sprintf("supervisord started with pid %d\n", r.pid)) != 2 || strings.Count(log, "stopped: a") != 1 {
		t.Errorf("the log is\n%s", log)
	}
	if err := r.self().DaemonStop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != 0 || !strings.Contains(r.log(), "received request of ann@host indicating exit request") {
		t.Errorf("exit code %d\n%s", code, r.log())
	}
}
