package solo

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/gate"
)

// Property: whom chmod and chown of [unix_http_server] let speak to a supervisord, distsuperctl lets speak to a solo: its status and
// its logs, and the programs of its file, but none of their own. Nobody else is let in.
func TestTheGroupOfTheUnixServerMaySpeakToIt(t *testing.T) {
	gate.Root(t)
	const stranger, group = 65533, 65531
	for name, c := range map[string]struct {
		section string
		groups  []uint32
		let     bool
	}{
		"the group":              {"chmod=0770\nchown=root:65531\n", []uint32{group}, true},
		"not of the group":       {"chmod=0770\nchown=root:65531\n", []uint32{group + 1}, false},
		"by the default mode":    {"chown=root:65531\n", []uint32{group}, false},
		"behind a password":      {"chmod=0777\nusername=u\npassword=p\n", []uint32{group}, false},
		"after a sweep":          {"chmod=0770\nchown=root:65531\n", []uint32{group}, true},
		"whom it is given to":    {"chown=65533\n", nil, true},
		"by a section elsewhere": {"", []uint32{group}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			section := "[unix_http_server]\nfile=%(here)s/s.sock\n" + c.section
			if c.section == "" {
				section = ""
			}
			r := ours(t).prepare(t, header+section+"[program:a]\ncommand=sh -c 'echo hello; exec sleep 1000'\n")
			nobody(t, r) // lets them in to the directory
			ctl, err := os.ReadFile(bin.Program(t, "distsuperctl"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(r.path("ctl"), ctl, 0o755); err != nil {
				t.Fatal(err)
			}
			r.run()
			r.await("success: a")
			if name == "after a sweep" {
				r.sweep()
			}
			as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger, Groups: c.groups}}
			ask := func(args ...string) (string, error) {
				cmd := exec.Command(r.path("ctl"), append([]string{"-c", r.path("d.conf")}, args...)...)
				cmd.Dir = "/"
				cmd.SysProcAttr = as
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			out, err := ask("status")
			if let := err == nil && strings.Contains(out, "RUNNING"); let != c.let {
				t.Fatalf("status: %v: %s", err, out)
			}
			if !c.let {
				return
			}
			if out, err := ask("tail", "a"); err != nil || out != "hello\n" {
				t.Errorf("tail: %v: %s", err, out)
			}
			if out, err := ask("stop", "a"); err != nil {
				t.Errorf("stop: %v: %s", err, out)
			}
			etcdctl, err := exec.LookPath("etcdctl")
			if err != nil {
				gate.Cannot(t, "etcdctl is not installed")
			}
			endpoint, _ := config.SoloEndpoint(r.path("d.conf"))
			evil := exec.Command(etcdctl, "--endpoints="+endpoint, "put", "/distsuper/programs/evil", `{"name":"evil","command":"sleep 1000","user":"root"}`)
			evil.Dir, evil.SysProcAttr = "/", as
			if out, err := evil.CombinedOutput(); err == nil || !strings.Contains(string(out), "permission denied") {
				t.Errorf("a program of their own: %v: %s", err, out)
			}
			r.write("d.conf", header+section+"[program:b]\ncommand=sleep 1000\n")
			if out, err := ask("update"); err != nil || !strings.Contains(out, "b: added process group") {
				t.Errorf("update: %v: %s", err, out)
			}
			if out, err := ask("status"); err != nil || strings.Contains(out, "evil") || !strings.Contains(out, "b ") {
				t.Errorf("status after that: %v: %s", err, out)
			}
		})
	}
}

// Property: so it is where no root is: a user's daemon lets in whom its file lets in, and they find it by the file.
func TestAUsersDaemonIsFoundByThoseWhomItLetsIn(t *testing.T) {
	gate.Root(t)
	t.Parallel()
	r := ours(t).prepare(t, "[supervisord]\nlogfile=%(here)s/work/d.log\npidfile=%(here)s/work/d.pid\nchildlogdir=%(here)s/work\n"+
		"[unix_http_server]\nfile=%(here)s/s.sock\nchmod=0777\n[program:a]\ncommand=sleep 1000\nstdout_logfile=NONE\nstderr_logfile=NONE\n")
	uid, _ := nobody(t, r)
	t.Cleanup(func() { os.RemoveAll(config.SoloRuntime(r.path("d.conf"), uid)) })
	for _, name := range []string{"distsuperd", "distsuperctl"} {
		exe, err := os.ReadFile(bin.Program(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(r.path(name), exe, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(r.path("d.conf"), uid, -1); err != nil {
		t.Fatal(err)
	}
	r.side.args = []string{r.path("distsuperd"), "solo"}
	if err := r.begin(&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool {
		cmd := exec.Command(r.path("distsuperctl"), "-c", r.path("d.conf"), "status")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65533, Gid: 65533}}
		out, _ := cmd.CombinedOutput()
		return strings.Contains(string(out), "RUNNING")
	}, "it is not found")
	if code := r.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
