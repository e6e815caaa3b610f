package advice

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/ownership"
	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/pkg/visible"
	"github.com/distsuper/distsuper/test/gate"
)

var quoted = regexp.MustCompile("run `([^`]+)`")

// TestCommandsOfTheShellMendWhatTheyAreFor runs what a refusal or warning says in backquotes until there is none.
func TestCommandsOfTheShellMendWhatTheyAreFor(t *testing.T) {
	gate.Root(t)
	dir := filepath.Join(t.TempDir(), "it's; a 'folder'") // what somebody copies does what it says, whatever a file is called
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string, mode os.FileMode, uid int) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("[etcd]\nusername = u\npassword = secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, uid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	readable, writable, group, foreign := file("readable", 0o644, 0), file("writable", 0o602, 0), file("group", 0o660, 0), file("foreign", 0o600, 1000)
	if err := os.Chown(group, 0, 1000); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	for says, complaint := range map[string]func() error{
		"chmod o-rwx " + visible.Word(readable): func() error {
			c, err := config.Load(config.Options{Program: config.Ctl, File: readable})
			if err == nil && len(c.Warnings) > 0 {
				err = fmt.Errorf("%s", strings.Join(c.Warnings, "\n"))
			}
			return err
		},
		"chmod go-w " + visible.Word(writable): func() error { return ownership.CheckPath(writable, 0) },
		"chmod go-w " + visible.Word(group):    func() error { return ownership.CheckPath(group, 0) },
		"chown -h 0 " + visible.Word(foreign):  func() error { return ownership.CheckPath(foreign, 0) },
		"chmod 0700 " + visible.Word(open):     func() error { return privatesock.CheckDir(open) },
	} {
		err := complaint()
		if err == nil {
			t.Errorf("nothing says %q", says)
			continue
		}
		m := quoted.FindStringSubmatch(err.Error())
		if m == nil || m[1] != says {
			t.Errorf("it says %v, want %q", err, says)
			continue
		}
		if out, err := exec.Command("sh", "-c", m[1]).CombinedOutput(); err != nil {
			t.Errorf("%s: %v, %s", says, err, out)
		}
		if err := complaint(); err != nil {
			t.Errorf("after %s: %v", says, err)
		}
	}
}

// TestAFileThatIsRemovedAsAdvisedIsMadeAnew: nothing else is asked of whoever removes it.
func TestAFileThatIsRemovedAsAdvisedIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	for name, open := range map[string]func(path string) error{
		"identity.pem": func(path string) error { _, err := mtls.LoadIdentity(path, "test"); return err },
		"keeper.json": func(path string) error {
			s, err := contain.OpenState(filepath.Dir(path))
			if err == nil {
				s.Close()
			}
			return err
		},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("{ broken"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(path); err == nil || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := open(path); err != nil {
			t.Errorf("%s was removed, and then: %v", name, err)
		}
	}
}
