package solo

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A scenario is one configuration and what is done to its daemon, the same on both sides.
type scenario struct {
	name string
	conf string
	do   func(r *ran)
}

var scenarios = []scenario{
	{"start and stop", "[program:a]\ncommand=sleep 1000\n", func(r *ran) { r.await("success: a") }},
	{"an expected exit", "[program:a]\ncommand=sh -c 'sleep 1.5; exit 2'\nexitcodes=0,2\n", func(r *ran) { r.await("exited: a") }},
	{"an unexpected exit that is not restarted", "[program:a]\ncommand=sh -c 'sleep 1.5; exit 2'\nautorestart=false\n", func(r *ran) { r.await("exited: a") }},
	{"an unexpected exit that is restarted", "[program:a]\ncommand=sh -c 'test -e %(here)s/mark && exec sleep 1000; touch %(here)s/mark; sleep 1.5; exit 1'\n",
		func(r *ran) { r.awaitCount("success: a", 2) }},
	{"death by a signal", "[program:a]\ncommand=sh -c 'sleep 1.5; kill -KILL $$'\nautorestart=false\n", func(r *ran) { r.await("exited: a") }},
	{"too many retries", "[program:a]\ncommand=sh -c 'sleep 0.2; exit 1'\nstartsecs=5\nstartretries=1\n", func(r *ran) { r.await("gave up: a") }},
	{"an expected exit that comes too soon", "[program:a]\ncommand=sh -c 'sleep 0.2; exit 0'\nstartsecs=5\nstartretries=0\n", func(r *ran) { r.await("gave up: a") }},
	{"startsecs 0", "[program:a]\ncommand=sleep 1000\nstartsecs=0\n", func(r *ran) { r.await("success: a") }},
	{"what does not start by itself", "[program:a]\ncommand=sleep 1000\nautostart=false\n[program:b]\ncommand=sleep 1000\n", func(r *ran) { r.await("success: b") }},
	{"a stop that is late", "[program:a]\ncommand=sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'\nstopwaitsecs=1\n", func(r *ran) { r.await("success: a") }},
	{"another stop signal and an expected end", "[program:a]\ncommand=sh -c 'trap \"exit 0\" USR1; while :; do sleep 0.1; done'\nstopsignal=USR1\n", func(r *ran) { r.await("success: a") }},
	{"numbered processes", "[program:a]\ncommand=sleep 1000\nnumprocs=3\nprocess_name=%(program_name)s_%(process_num)02d\n", func(r *ran) { r.awaitCount("success:", 3) }},
	{"more than nine of them", "[program:a]\ncommand=sleep 1000\nnumprocs=12\nprocess_name=%(process_num)d\n", func(r *ran) { r.awaitCount("success:", 12) }},
	{"priorities", "[program:z]\ncommand=sleep 1000\npriority=1\n[program:a]\ncommand=sleep 1000\npriority=3\n[program:m]\ncommand=sleep 1000\npriority=2\n",
		func(r *ran) { r.awaitCount("success:", 3) }},
	{"groups", "[group:late]\nprograms=b,a\npriority=5\n[group:early]\nprograms=c,d\npriority=4\n" +
		"[program:a]\ncommand=sleep 1000\npriority=2\n[program:b]\ncommand=sleep 1000\npriority=1\n[program:c]\ncommand=sleep 1000\n[program:d]\ncommand=sleep 1000\n",
		func(r *ran) { r.awaitCount("success:", 4) }},
	{"a reload", "[program:a]\ncommand=sleep 1000\n", func(r *ran) {
		r.await("success: a")
		r.write("d.conf", header+"[program:b]\ncommand=sleep 1000\n")
		r.signal(unix.SIGHUP)
		r.await("success: b")
	}},
	{"logs opened anew", "[program:a]\ncommand=sleep 1000\n", func(r *ran) {
		r.await("success: a")
		if err := os.Rename(r.path("d.log"), r.path("old.log")); err != nil {
			r.t.Fatal(err)
		}
		r.signal(unix.SIGUSR2)
		r.until(func() bool { _, err := os.Stat(r.path("d.log")); return err == nil }, "the log was not opened anew")
	}},
	{"other ways to end it", "[program:a]\ncommand=sleep 1000\n", func(r *ran) { r.await("success: a"); r.signal(unix.SIGQUIT) }},
	{"a file that is included", "[include]\nfiles=more/*.conf\n[program:a]\ncommand=sleep 1000\n", func(r *ran) { r.await("success: a") }},
}

func TestLogReadsAsSupervisords(t *testing.T) {
	sides := both(t)
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			stories := make([]told, len(sides))
			for i, s := range sides {
				r := s.prepare(t, header+sc.conf)
				if err := os.MkdirAll(r.path("more"), 0o755); err != nil {
					t.Fatal(err)
				}
				r.write("more/b.conf", "[program:b]\ncommand=sleep 1000\nautostart=false\n")
				r.run()
				sc.do(r)
				if !strings.Contains(r.log(), "received SIGQUIT") && sc.name != "other ways to end it" {
					r.signal(unix.SIGTERM)
				}
				if code := r.wait(); code != 0 {
					t.Errorf("%s: exit code %d, want 0", s.name, code)
				}
				stories[i] = tellOf(r)
				if _, err := os.Stat(r.path("d.pid")); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s leaves its pid file: %v", s.name, err)
				}
			}
			if problem := stories[0].unlike(stories[1]); problem != "" {
				t.Error(problem)
			}
		})
	}
}

// told is a log in parts whose order means something: what is said of each process, the spawns of all, and
// what the daemon says of itself.
type told struct {
	of     map[string][]string
	spawns []string
	daemon []string
}

var (
	stamp   = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `)
	numbers = regexp.MustCompile(`pid \d+|\(\d+\)`)
	subject = regexp.MustCompile(`^[A-Z]{4} (?:spawned: '|success: |exited: |stopped: |gave up: |killing ')([^' ]+)`)
)

// notSaid is what supervisord says of servers that solo does not have yet.
var notSaid = regexp.MustCompile(`RPC interface|running without any HTTP|supervisor\.rpcinterface`)

func tellOf(r *ran) told {
	r.t.Helper()
	out := told{of: map[string][]string{}}
	old, _ := os.ReadFile(r.path("old.log"))
	dying := false
	for line := range strings.Lines(string(old) + r.log()) {
		line = strings.TrimSuffix(line, "\n")
		if !stamp.MatchString(line) {
			r.t.Errorf("%s: a line without the time: %q", r.side.name, line)
			continue
		}
		line = stamp.ReplaceAllString(line, "")
		line = numbers.ReplaceAllString(strings.ReplaceAll(line, r.dir, "HERE"), "N")
		m := subject.FindStringSubmatch(line)
		switch {
		case notSaid.MatchString(line):
		case m != nil:
			out.of[m[1]] = append(out.of[m[1]], line)
			if strings.Contains(line, "spawned: ") {
				out.spawns = append(out.spawns, m[1])
			}
		case strings.HasSuffix(line, " to die"):
			if !dying { // it is said again every three seconds
				out.daemon = append(out.daemon, line)
			}
			dying = true
		default:
			dying = dying && !strings.Contains(line, "started with pid")
			out.daemon = append(out.daemon, line)
		}
	}
	return out
}

// unlike says how two logs differ; "" is not at all.
func (a told) unlike(b told) string {
	var problems bytes.Buffer
	compare := func(what string, x, y []string) {
		if !slices.Equal(x, y) {
			fmt.Fprintf(&problems, "%s: solo says\n  %s\nsupervisord says\n  %s\n", what, strings.Join(x, "\n  "), strings.Join(y, "\n  "))
		}
	}
	names := slices.Sorted(maps.Keys(a.of))
	for _, name := range slices.Sorted(maps.Keys(b.of)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		compare("of "+name, a.of[name], b.of[name])
	}
	compare("spawned", a.spawns, b.spawns)
	compare("of itself", a.daemon, b.daemon)
	return problems.String()
}

// TestComparerSeesWhatIsDifferent proves the comparer above.
func TestComparerSeesWhatIsDifferent(t *testing.T) {
	good := func() told {
		return told{of: map[string][]string{"a": {"INFO spawned: 'a' with N", "INFO success: a"}, "b": {"INFO spawned: 'b' with N"}},
			spawns: []string{"a", "b"}, daemon: []string{"INFO supervisord started with N", "WARN received SIGTERM indicating exit request"}}
	}
	if problem := good().unlike(good()); problem != "" {
		t.Fatal(problem)
	}
	for name, spoil := range map[string]func(*told){
		"a space":            func(s *told) { s.of["a"][1] = "INFO success:  a" },
		"a level":            func(s *told) { s.of["a"][1] = "WARN success: a" },
		"a line is missing":  func(s *told) { s.of["a"] = s.of["a"][:1] },
		"a line too many":    func(s *told) { s.of["b"] = append(s.of["b"], "INFO success: b") },
		"another order":      func(s *told) { slices.Reverse(s.of["a"]) },
		"a process missing":  func(s *told) { delete(s.of, "b") },
		"a process too many": func(s *told) { s.of["c"] = []string{"INFO spawned: 'c' with N"} },
		"spawned otherwise":  func(s *told) { slices.Reverse(s.spawns) },
		"another signal":     func(s *told) { s.daemon[1] = "WARN received SIGINT indicating exit request" },
		"silence":            func(s *told) { s.daemon = nil },
	} {
		bad := good()
		spoil(&bad)
		if good().unlike(bad) == "" || bad.unlike(good()) == "" {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestWrongUseIsAnsweredAsSupervisordDoes(t *testing.T) {
	for _, c := range []struct {
		args string
		same bool // the whole first line is supervisord's, else its beginning up to the reason
	}{
		{"-n -n", true}, {"-n --nodaemon", true}, {"-c other", true}, {"-x", true}, {"--bogus", true}, {"--min 3", true}, {"-j", true},
		{"--identifier", true}, {"--nodaemon=1", true}, {"a b", true}, {"-n 'a", true}, {"-m 9", false}, {"-e loud", false}, {"-y 1K", false},
		{"-u nobody-of-this-name", true}, {"-u 987654321", true}, {"-d /no/where", false}, {"-l /no/where/x", false}, {"-z x", false}, {"-q /no/where", false},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			var first [2]string
			for i, s := range both(t) {
				r := s.prepare(t, header)
				var stderr bytes.Buffer
				cmd := r.command(strings.Fields(c.args)...)
				cmd.Stderr = &stderr
				err := cmd.Run()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 2 {
					t.Errorf("%s: %v, want exit code 2; it says %s", s.name, err, &stderr)
				}
				lines := strings.Split(stderr.String(), "\n")
				if len(lines) != 3 || !strings.HasPrefix(lines[1], "For help, use ") || !strings.HasSuffix(lines[1], " -h") {
					t.Errorf("%s says %q", s.name, stderr.String())
				}
				if first[i] = lines[0]; !c.same {
					first[i], _, _ = strings.Cut(lines[0], "': ")
				}
			}
			if first[0] != first[1] {
				t.Errorf("solo says        %s\nsupervisord says %s", first[0], first[1])
			}
		})
	}
}
