package embedded_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/gate"
)

func TestAnotherMachineJoinsWithWhatJoinTells(t *testing.T) {
	dir := t.TempDir()
	cfg := config(t, dir, "")
	start(t, cfg)
	if _, err := embedded.Join(dir); err == nil || !strings.Contains(err.Error(), "listen") {
		t.Errorf("with a socket only: %v", err)
	}
	local := open(t, etcd.Config{Endpoints: []string{endpoint(t, dir)}})
	put(t, local, "1")

	listen := fmt.Sprintf("0.0.0.0:%d", freePort(t))
	first := start(t, cfg)
	c := start(t, config(t, dir, listen)) // another listen: it is restarted
	if c.PID == first.PID {
		t.Error("it was not restarted with its new address")
	}
	info, err := embedded.Join(dir)
	if err != nil {
		t.Fatal(err)
	}
	remote := etcd.Config{Endpoints: info.Endpoints, CA: info.CA, Cert: info.Cert, Key: info.Key}
	if got := get(t, open(t, remote)); got != "1" {
		t.Errorf("the joined machine reads %q", got)
	}
	var wrong sync.WaitGroup
	for name, cfg := range map[string]etcd.Config{
		"without a client certificate": {Endpoints: info.Endpoints, CA: info.CA},
		"without TLS":                  {Endpoints: []string{"http://" + strings.TrimPrefix(info.Endpoints[0], "https://")}},
		"without the authority":        {Endpoints: info.Endpoints, Cert: info.Cert, Key: info.Key},
	} {
		wrong.Go(func() {
			if _, err := etcd.Connect(t.Context(), cfg, "/a"); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wrong.Wait()
	for _, f := range []string{"ca.key", "server.key", "client.key", "client.pem"} {
		if st, err := os.Stat(filepath.Join(dir, "etcd", "tls", f)); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, st, err)
		}
	}
	openssl(t, dir, info)
	// A restart keeps the authority, so what was handed out stays good. Each machine gets a certificate of its own.
	if err := embedded.Stop(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	start(t, config(t, dir, listen))
	again, err := embedded.Join(dir)
	if err != nil || again.CA != info.CA || again.Cert == info.Cert || again.Key == info.Key {
		t.Errorf("after a restart: another authority, or the same certificate again: %v", err)
	}
	if got := get(t, open(t, remote)); got != "1" {
		t.Errorf("the joined machine reads %q after a restart", got)
	}
	// Without its certificates it makes others, and what was handed out opens nothing any more.
	if err := errors.Join(embedded.Stop(t.Context(), dir), os.RemoveAll(filepath.Join(dir, "etcd", "tls"))); err != nil {
		t.Fatal(err)
	}
	start(t, config(t, dir, listen))
	if _, err := etcd.Connect(t.Context(), remote, "/a"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a machine that was locked out: %v", err)
	}
	if again, err = embedded.Join(dir); err != nil {
		t.Fatal(err)
	}
	if got := get(t, open(t, etcd.Config{Endpoints: again.Endpoints, CA: again.CA, Cert: again.Cert, Key: again.Key})); got != "1" {
		t.Errorf("a machine that joins anew reads %q", got)
	}
}

// openssl has OpenSSL, by itself and in curl, judge the certificates: it is stricter than Go about names.
func openssl(t *testing.T, dir string, info embedded.JoinInfo) {
	t.Helper()
	for _, tool := range []string{"openssl", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			gate.Cannot(t, "%s is not installed: make deps", tool)
		}
	}
	tls := filepath.Join(dir, "etcd", "tls")
	joined := t.TempDir()
	for name, text := range map[string]string{"cert.pem": info.Cert, "key.pem": info.Key} {
		if err := os.WriteFile(filepath.Join(joined, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(info.Endpoints[0], "https://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost", "-CAfile", tls + "/ca.pem", tls + "/server.pem"},
		{"openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", tls + "/ca.pem", tls + "/client.pem"},
		{"openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", tls + "/ca.pem", joined + "/cert.pem"},
		{"curl", "-sS", "--fail", "--noproxy", "*", "--cacert", tls + "/ca.pem", "--cert", joined + "/cert.pem", "--key", joined + "/key.pem", "https://localhost:" + port + "/health"},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
