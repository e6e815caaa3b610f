package spec

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/ini"
)

// host is one with three directories.
var host = Paths{TempDir: "/tmp", IsDir: func(p string) bool { return slices.Contains([]string{".", "/tmp", "/var/log", "/home/ann"}, p) },
	Home: func(user string) (string, error) {
		if user == "" || user == "ann" {
			return "/home/ann", nil
		}
		return "", errors.New("no such user")
	}}

func supervisord(t *testing.T, text string, overridden ...string) (Supervisord, []Remark, error) {
	t.Helper()
	f, err := ini.Parse("s.conf", text)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Environ: map[string]string{"LOGS": "/var/log"}, HostNode: "host"}
	return ReadSupervisord(f, o, host, func(key string) bool { return slices.Contains(overridden, key) })
}

func TestSupervisordHasItsDefaults(t *testing.T) {
	want := Supervisord{Logfile: "supervisord.log", LogfileMaxBytes: 50 << 20, LogfileBackups: 10, Loglevel: ini.LevelInfo,
		Pidfile: "supervisord.pid", Umask: 0o22, Minfds: 1024, Minprocs: 200, Childlogdir: "/tmp", Identifier: "supervisor", ExitOn: ExitNever}
	for _, text := range []string{"", "[supervisord]\n"} {
		if got, remarks, err := supervisord(t, text); err != nil || got != want || len(remarks) > 0 {
			t.Errorf("%q: %+v, %v, %v; want %+v", text, got, remarks, err, want)
		}
	}
}

func TestSupervisordTakesEveryOption(t *testing.T) {
	got, remarks, err := supervisord(t, `[supervisord]
logfile = %(ENV_LOGS)s/s.log
logfile_maxbytes = 2KB
logfile_backups = 3
loglevel = WARN
pidfile = ~/s.pid
umask = 077
nodaemon = yes
silent = on
minfds = 2000
minprocs = 10
nocleanup = true
childlogdir = /var/log
user = ann
directory = ~ann
strip_ansi = 1
environment = A="1"
identifier = mine
profile_options = calls,callers
exit_on = any-exit
stdout_log_prefix = true
`)
	want := Supervisord{Logfile: "/var/log/s.log", LogfileMaxBytes: 2048, LogfileBackups: 3, Loglevel: ini.LevelWarn,
		Pidfile: "/home/ann/s.pid", Umask: 0o77, Nodaemon: true, Silent: true, Minfds: 2000, Minprocs: 10, Nocleanup: true,
		Childlogdir: "/var/log", User: "ann", Directory: "/home/ann", StripANSI: true, Identifier: "mine",
		ExitOn: ExitAny, StdoutLogPrefix: true}
	if err != nil || got != want || len(remarks) > 0 {
		t.Errorf("%+v, %v, %v; want %+v", got, remarks, err, want)
	}
}

func TestSupervisordRefusesWhatSupervisordRefuses(t *testing.T) {
	for _, c := range []struct{ line, fault string }{
		{"logfile = /nowhere/s.log", "the directory named as part of the path /nowhere/s.log does not exist"},
		{"pidfile = /nowhere/s.pid", "does not exist"},
		{"childlogdir = /nowhere", "/nowhere is not an existing directory"},
		{"directory = ~bob", "~bob is not an existing directory"},
		{"logfile_maxbytes = 1K", "KB, MB or GB"},
		{"logfile_backups = many", "whole number"},
		{"loglevel = loud", "critical, error, warn"},
		{"umask = 9", "octal"},
		{"nodaemon = maybe", "not a boolean"},
		{"minfds = 1.5", "whole number"},
		{"identifier = %(nope)s", "nope"},
		{"identifier = %(host_node_name)s", "host_node_name"},
		{"user =", "Invalid user name"},
		{"childlogdir =", "is not an existing directory"},
		{"exit_on = sometimes", "any-exit"},
	} {
		_, _, err := supervisord(t, "[supervisord]\n"+c.line+"\n")
		key, _, _ := strings.Cut(c.line, " ")
		if err == nil || !strings.Contains(err.Error(), c.fault) || !strings.HasPrefix(err.Error(), "s.conf:2: [supervisord] "+key+": ") {
			t.Errorf("%s: %v, want %q", c.line, err, c.fault)
		}
	}
}

func TestEmptyFilesOfSupervisordCountAsNotWritten(t *testing.T) {
	got, remarks, err := supervisord(t, "[supervisord]\nlogfile =\npidfile =\n")
	if err != nil || got.Logfile != "supervisord.log" || got.Pidfile != "supervisord.pid" || len(remarks) != 2 {
		t.Errorf("%+v, %v, %v", got, remarks, err)
	}
	for _, r := range remarks {
		if !strings.Contains(r.String(), "is empty, which counts as unset; leave it out, or write a path") {
			t.Errorf("it is told that %s", r)
		}
	}
}

func TestProfileOptionsAreNotLookedAt(t *testing.T) {
	for _, text := range []string{"time", "", "%(nope)s", "50%"} {
		if _, remarks, err := supervisord(t, "[supervisord]\nprofile_options = "+text+"\n"); err != nil || len(remarks) > 0 {
			t.Errorf("profile_options = %s: %v, %v", text, remarks, err)
		}
	}
}

func TestWhatTheCommandLineSaysIsCheckedInTheFileAllTheSame(t *testing.T) {
	got, _, err := supervisord(t, "[supervisord]\nidentifier = file\numask = 077\n", "identifier")
	if err != nil || got.Identifier != "supervisor" || got.Umask != 0o77 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, err := supervisord(t, "[supervisord]\numask = x\n", "umask"); err == nil {
		t.Error("a wrong value is let through since a flag has another")
	}
}

func TestUnknownSupervisordKeyIsRemarked(t *testing.T) {
	_, remarks, err := supervisord(t, "[supervisord]\nlog_level = info\nhttp_port = 1\n")
	if err != nil || len(remarks) != 2 || !strings.Contains(remarks[0].String(), "did you mean loglevel?") {
		t.Errorf("%v, %v", remarks, err)
	}
}
