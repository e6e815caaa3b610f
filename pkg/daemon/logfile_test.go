//go:build linux

package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/test/fulldisk"
)

func openTestLog(t *testing.T, l Logging) *Log {
	t.Helper()
	log, err := OpenLog(l)
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestLogRotatesAtItsSizeAndLosesNoLine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sub", "d.log")
	log := openTestLog(t, Logging{File: name, MaxBytes: 300, Backups: 50, Level: "info"})
	for i := range 40 {
		log.Info("line", zap.Int("number", i))
	}
	var all string
	for i := 50; i >= 0; i-- {
		part := name
		if i > 0 {
			part = fmt.Sprintf("%s.%d", name, i)
		}
		text, err := os.ReadFile(part)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 300 {
			t.Errorf("%s has %d bytes, more than 300", part, len(text))
		}
		all += string(text)
	}
	lines := strings.Split(strings.TrimSpace(all), "\n")
	if len(lines) != 40 {
		t.Fatalf("%d lines are left of 40", len(lines))
	}
	for i, line := range lines {
		if !strings.Contains(line, fmt.Sprintf(`{"number": %d}`, i)) {
			t.Errorf("line %d is %q", i, line)
		}
	}
}

func TestLogKeepsOnlyItsBackups(t *testing.T) {
	for _, backups := range []int{0, 2} {
		dir := t.TempDir()
		log := openTestLog(t, Logging{File: filepath.Join(dir, "d.log"), MaxBytes: 100, Backups: backups, Level: "info"})
		for range 50 {
			log.Info("a line of some length")
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != backups+1 {
			t.Errorf("with %d backups there are %d files (%v)", backups, len(files), err)
		}
	}
}

func TestReopenWritesToTheNewFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d.log")
	log := openTestLog(t, Logging{File: name, Level: "info"})
	log.Info("before")
	if err := os.Rename(name, name+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	log.Info("after")
	if text, _ := os.ReadFile(name); !strings.Contains(string(text), "after") || strings.Contains(string(text), "before") {
		t.Errorf("the new file has %q", text)
	}
}

func TestLevelChangesWhileRunning(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d.log")
	log := openTestLog(t, Logging{File: name, Level: "warn"})
	log.Info("one")
	if err := log.SetLevel("info"); err != nil {
		t.Fatal(err)
	}
	log.Info("two")
	if text, _ := os.ReadFile(name); strings.Contains(string(text), "one") || !strings.Contains(string(text), "two") {
		t.Errorf("the log has %q", text)
	}
}

// A log that has no room for another file goes on in the one that it has, and its old ones stay.
func TestALogThatCannotBeRotatedLosesNothing(t *testing.T) {
	disk := fulldisk.New(t, 1<<20, 3)
	name := filepath.Join(disk.Dir, "d.log")
	for _, old := range []string{name + ".1", name + ".2"} {
		if err := os.WriteFile(old, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := openTestLog(t, Logging{File: name, MaxBytes: 300, Backups: 2, Level: "info"})
	for i := range 40 {
		log.Info("line", zap.Int("number", i))
	}
	for _, old := range []string{name + ".1", name + ".2"} {
		if text, err := os.ReadFile(old); err != nil || string(text) != old {
			t.Errorf("%s has %q, %v", old, text, err)
		}
	}
	if text, err := os.ReadFile(name); err != nil || strings.Count(string(text), "\n") != 40 {
		t.Errorf("the log has %q, %v", text, err)
	}
}

// Half of a line is what a full disk may leave; the next one does not go on in it.
func TestALineThatWasCutOffStandsAlone(t *testing.T) {
	disk := fulldisk.New(t, 1<<20, 0)
	name := filepath.Join(disk.Dir, "d.log")
	log := openTestLog(t, Logging{File: name, MaxBytes: 0, Level: "info"})
	log.Info("first")
	if err := disk.Fill(); err != nil {
		t.Fatal(err)
	}
	for range 100 { // the last page has room for some
		log.Info(strings.Repeat("x", 100))
	}
	if err := disk.Free(); err != nil {
		t.Fatal(err)
	}
	log.Info("last")
	text, err := os.ReadFile(name)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := lines[len(lines)-1]; err != nil || !strings.HasSuffix(last, "last") || strings.Contains(last, "xxx") {
		t.Errorf("the last line is %q, %v", last, err)
	}
}
