package solo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/ini"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoPrograms = "[supervisord]\nloglevel=warn\nidentifier=mine\nlogfile=/log\npidfile=/pid\n[program:a]\ncommand=a\n[program:b]\ncommand=b\nautostart=false\n"

func TestFlagsStandAboveTheFileUnlessTheyAreEmpty(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "d.conf"), twoPrograms)
	s, err := Load(file, []Flag{{"loglevel", "-e", "debug"}, {"identifier", "--identifier", "ours"}, {"pidfile", "-j", ""}, {"nodaemon", "-n", "true"}})
	if err != nil {
		t.Fatal(err)
	}
	if s.File != file || s.Searched || s.Loglevel != ini.LevelDebug || s.Identifier != "ours" || s.Pidfile != "/pid" || s.Logfile != "/log" || !s.Nodaemon {
		t.Errorf("the settings are %+v", s)
	}
	if again, err := s.reload(); err != nil || again.Identifier != "ours" || again.Loglevel != ini.LevelDebug {
		t.Errorf("read again they are %+v, %v", again, err)
	}
	if ids, err := firstProcesses(s.Programs); err != nil || !slices.Equal(ids, []string{"a"}) {
		t.Errorf("autostart starts %q (%v)", ids, err)
	}
}

func TestWrongFlagsAndFilesAreTheUsersToMend(t *testing.T) {
	dir := t.TempDir()
	good, bad := writeFile(t, filepath.Join(dir, "d.conf"), twoPrograms), writeFile(t, filepath.Join(dir, "bad.conf"), "[supervisord]\n[program:a]\n")
	for _, c := range []struct {
		file  string
		flags []Flag
		want  string
	}{
		{good, []Flag{{"umask", "-m", "9"}}, "invalid value for -m '9': "},
		{bad, nil, "program:a"},
		{filepath.Join(dir, "none.conf"), nil, "could not find config file "},
	} {
		_, err := Load(c.file, c.flags)
		if daemon.Code(err) != daemon.ExitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %v: %v (exit code %d), want %q", c.file, c.flags, err, daemon.Code(err), c.want)
		}
	}
}

func TestProgramsNowAreThoseOfTheFileWithItsNewWarningsOnly(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "d.conf"), twoPrograms+"colour=red\n")
	s, err := Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, twoPrograms+"colour=red\n[program:c]\ncommand=c\ntaste=sweet\n")
	p, err := s.programsNow()
	if err != nil || len(p.Programs) != 3 || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], "taste") {
		t.Errorf("there are %d programs and the warnings %q, %v", len(p.Programs), p.Warnings, err)
	}
}

func TestOnlyAutoLogsOfThisIdentifierAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a-stdout---mine-x1.log", "a-stdout---mine-x1.log.2", "a-stdout---other-x1.log", "a.log", "---mine-x.log"} {
		writeFile(t, filepath.Join(dir, name), "")
	}
	if err := removeAutoLogs(dir, "mine"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"---mine-x.log", "a-stdout---other-x1.log", "a.log"}; err != nil || !slices.Equal(left, want) {
		t.Errorf("%q are left (%v), want %q", left, err, want)
	}
}

func TestPidfileIsRemovedUnlessItIsNoFileOrAnothers(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "pid"), fmt.Sprintln(os.Getpid()))
	others := writeFile(t, filepath.Join(dir, "others"), "1\n")
	device := filepath.Join(dir, "null")
	if err := os.Symlink(os.DevNull, device); err != nil {
		t.Fatal(err)
	}
	removePidfile(file)
	removePidfile(others)
	removePidfile(device)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the pid file is left: %v", err)
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("the pid file of another daemon is gone: %v", err)
	}
	if _, err := os.Lstat(device); err != nil {
		t.Errorf("what leads to a device is gone: %v", err)
	}
}
