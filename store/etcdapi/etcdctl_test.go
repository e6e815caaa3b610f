package etcdapi_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/test/gate"
)

// etcdctl returns a function that runs it against a socket.
func etcdctl(t *testing.T, path string) func(args ...string) *exec.Cmd {
	t.Helper()
	bin, err := exec.LookPath("etcdctl")
	if err != nil {
		gate.Cannot(t, "etcdctl is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, bin, append([]string{"--endpoints=unix://" + path}, args...)...)
		cmd.Env = append(os.Environ(), "ETCDCTL_API=3")
		return cmd
	}
}

func TestEtcdctlReadsWritesAndDeletes(t *testing.T) {
	_, _, path := serve(t)
	ctl := etcdctl(t, path)
	for _, c := range []struct{ args, want string }{
		{"put /a/1 one", "OK\n"},
		{"put /a/2 two", "OK\n"},
		{"put /b three", "OK\n"},
		{"put --prev-kv /b four", "OK\n/b\nthree\n"},
		{"get /a/1", "/a/1\none\n"},
		{"get --prefix /a/", "/a/1\none\n/a/2\ntwo\n"},
		{"get --prefix /a/ --order=DESCEND --sort-by=CREATE --limit=1 --keys-only", "/a/2\n\n"},
		{"get /a/2 /c --print-value-only", "two\nfour\n"},
		{"get --from-key /a/2 --keys-only", "/a/2\n\n/b\n\n"},
		{"get --prefix --keys-only ", "/a/1\n\n/a/2\n\n/b\n\n"},
		{"del --prefix /a/", "2\n"},
		{"del /a/1", "0\n"},
		{"get --prefix /a/", ""},
	} {
		args := strings.Split(c.args, " ") // a trailing space is the empty key
		out, err := ctl(args...).CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("etcdctl %s: %q (%v), want %q", c.args, out, err, c.want)
		}
	}
}

func TestEtcdctlWatches(t *testing.T) {
	_, kv, path := serve(t)
	put := func(key, value string) {
		t.Helper()
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(key, []byte(value))}}); err != nil {
			t.Fatal(err)
		}
	}
	put("/other", "x")
	put("/a/1", "one")
	cmd := etcdctl(t, path)("watch", "--prefix", "/a/", "--rev=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewScanner(out)
	want := func(texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !lines.Scan() || lines.Text() != text {
				t.Fatalf("the watch says %q, want %q", lines.Text(), text)
			}
		}
	}
	want("PUT", "/a/1", "one")
	put("/a/2", "two")
	want("PUT", "/a/2", "two")
	if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.DeletePrefix("/a/1")}}); err != nil {
		t.Fatal(err)
	}
	want("DELETE", "/a/1")
}
