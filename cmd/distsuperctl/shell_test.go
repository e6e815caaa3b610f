package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/peterh/liner"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcdapi"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/test/gate"
)

// types runs distsuperctl with lines in a pipe.
func (f *fleet) types(lines string, args ...string) ran {
	f.t.Helper()
	s := f.session()
	s.ctl.in = strings.NewReader(lines)
	code := execute(f.t.Context(), s.ctl, args)
	return ran{code, s.stdout.String(), s.stderr.String()}
}

func TestShellRunsEachLineAndExitsWithZero(t *testing.T) {
	const status = "web                              STOPPED   -  Not started\n"
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		for _, c := range []struct{ name, lines, out, errout string }{
			{"nothing", "", status, ""},
			{"empty lines", "\n  \n\t\n", status, ""},
			{"a line without its end", "stop web", status + "web: ERROR (not running)\n", ""},
			{"quotes", "stop 'web' \"web\"\n", status + "web: ERROR (not running)\n", ""},
			{"a failure does not end it", "stop none\nstop web\n", status + "none: ERROR (no such process)\nweb: ERROR (not running)\n", ""},
			{"wrong use does not end it", "stop --bogus\nstop web\n", status + "web: ERROR (not running)\n", "unknown flag"},
			{"an open quote", "stop 'web\nstop web\n", status + "web: ERROR (not running)\n", "No closing quotation"},
			{"an unknown command", "frobnicate -x web\n", status + "*** Unknown syntax: frobnicate -x web\n", `there is no command "frobnicate"`},
			{"exit", "exit\nstop web\n", status, ""},
			{"quit with more", "quit 1\nstop web\n", status, ""},
			{"EOF", "EOF\nstop web\n", status, ""},
			{"no help", "help frobnicate\n", status + "*** No help on frobnicate\n", ""},
		} {
			r := f.types(c.lines)
			if r.code != exitOK || r.out != c.out || !strings.Contains(r.errout, c.errout) {
				t.Errorf("%s: exit %d, said\n%s%s\nwant\n%s%s", c.name, r.code, r.out, r.errout, c.out, c.errout)
			}
		}
	})
}

func TestShellThatIsAskedForPromptsInAPipeToo(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		const status = "web                              STOPPED   -  Not started\n"
		for lines, want := range map[string]string{
			"":                 status + "distsuper> \n",
			"\nstatus\n":       status + "distsuper> distsuper> " + status + "distsuper> \n",
			"exit\nstop web\n": status + "distsuper> \n",
		} {
			if r := f.types(lines, "-i"); r.out != want || r.code != exitOK {
				t.Errorf("%q: exit %d, said\n%s\nwant\n%s", lines, r.code, r.out, want)
			}
		}
	})
}

func TestNoFlagOfALineReachesTheNext(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		r := f.types("status --json\nstart web --no-wait\nstop web --json\nstatus\nstart web\n")
		if strings.Count(r.out, "{") != 2 || !strings.HasSuffix(r.out, "\nweb: started\n") || !strings.Contains(r.out, "web                              STOPPED") {
			t.Errorf("said\n%s%s", r.out, r.errout)
		}
		r = f.types("version\nstatus\n", "--json") // and those it was started with are for every line
		if !strings.HasPrefix(r.out, "[") || !strings.HasSuffix(r.out, "]\n") {
			t.Errorf("with --json it said\n%s%s", r.out, r.errout)
		}
	})
}

func TestShellAsksBeforeADaemonIsEndedAndTakesNoAnswerForNo(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		const status = "web                              STOPPED   -  Not started\n"
		for name, question := range asking {
			for lines, want := range map[string]string{
				name + "\nn\nstop web\n": question + "web: ERROR (not running)\n", // the answer is no command
				name + "\n\nexit\n":      question,
				name + "\n":              question + "\n",
				name + " now\n":          "Error: " + name + " accepts no arguments\n",
			} {
				if r := f.types(lines); r.out != status+want || r.code != exitOK {
					t.Errorf("%q: exit %d, said\n%s%s\nwant\n%s", lines, r.code, r.out, r.errout, status+want)
				}
			}
			if r := f.ctl(name, "--help"); strings.Contains(r.out, "y/N") || r.code != exitOK {
				t.Errorf("%s --help asks: %s", name, r.out)
			}
		}
	})
}

func TestHelpInAShellListsTheCommandsWithoutTheFlagsOfTheProgram(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		r := f.types("help\n")
		for _, want := range []string{"\nstatus  ", "\nquit  ", "\nopen  ", "\nhelp  "} {
			if !strings.Contains(r.out, want) {
				t.Errorf("help has no %q:\n%s", want, r.out)
			}
		}
		for _, line := range []string{"help start\n", "?start\n", "? start\n", "start --help\n", "help help\n", "help quit\n", "help config check\n"} {
			if r := f.types(line); !strings.Contains(r.out, "Usage:") || strings.Contains(r.out, "--etcd-endpoints") {
				t.Errorf("%s says\n%s", line, r.out)
			}
		}
	})
	if r := (&fleet{t: t}).ctl("help", "start"); !strings.HasSuffix(r.out, exitHelp) || r.code != exitOK {
		t.Errorf("help start: exit %d\n%s", r.code, r.out)
	}
}

func TestTabOffersCommandsFlagsAndWhatTheStoreHas(t *testing.T) {
	inFleet(t, []string{"m1", "m2"}, func(t *testing.T, f *fleet) {
		f.load(program("mail", nil), copies("web", 2))
		s := f.session()
		sh := &shell{c: s.ctl}
		s.ctl.shell = sh
		for _, c := range []struct{ line, head, found string }{
			{"sta", "", "start |status "},
			{"  reba", "  ", "rebalance "},
			{"compl", "", ""},
			{"start w", "start ", "web:web_0 |web:web_1 |web:* "},
			{"start web:web_", "start ", "web:web_0 |web:web_1 "},
			{"start web:web_0 w", "start web:web_0 ", "web:web_1 |web:* "},
			{"start --no-w", "start ", "--no-wait "},
			{"start --no-wait m", "start --no-wait ", "mail "},
			{"start --bogus m", "start --bogus ", ""},
			{"start --bogus=m", "start ", ""},
			{"start 'm", "start ", ""},
			{"bogus m", "bogus ", ""},
			{"--bogus m", "--bogus ", ""},
			{"cordon m", "cordon ", "m1 |m2 "},
			{"move mail m", "move mail ", "m1 |m2 "},
			{"move mail m1 m", "move mail m1 ", ""},
			{"tail mail std", "tail mail ", "stdout |stderr "},
			{"tail --machine m", "tail --machine ", "m1 |m2 "},
			{"tail -100 ma", "tail -100 ", "mail "},
			{"update w", "update ", "web "},
			{"signal HU", "signal ", "HUP "},
			{"signal HUP ma", "signal HUP ", "mail "},
			{"fg ma", "fg ", "mail "},
			{"why ma", "why ", "mail "},
			{"machines fo", "machines ", "forget "},
			{"machines forget m", "machines forget ", "m1 |m2 "},
			{"show w", "show ", "web "},
			{"history m", "history ", "mail |m1 |m2 "},
			{"help sta", "help ", "start |status "},
			{"help machines f", "help machines ", "forget "},
			{"exit x", "exit ", ""},
		} {
			head, found, tail := sh.complete(c.line+"!", len(c.line))
			if head != c.head || strings.Join(found, "|") != c.found || tail != "!" {
				t.Errorf("%q: %q, %q, %q, want %q, %q", c.line, head, strings.Join(found, "|"), tail, c.head, c.found)
			}
		}
		if s.stdout.String()+s.stderr.String() != "" {
			t.Errorf("it said %s%s", s.stdout, s.stderr)
		}
	})
}

func TestTabAsksTheStoreOnceForSomeKeys(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		f.load(program("mail", nil))
		s := f.session()
		sh := &shell{c: s.ctl}
		s.ctl.shell = sh
		sh.complete("start m", 7)
		f.load(program("mail", nil), program("more", nil))
		if _, found, _ := sh.complete("start m", 7); len(found) != 1 {
			t.Errorf("it asked again: %q", found)
		}
		sh.ready() // the next line
		if _, found, _ := sh.complete("start m", 7); len(found) != 2 {
			t.Errorf("it offers %q", found)
		}
	})
}

func TestTabOffersFilesWhereACommandTakesOne(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"one.ini", "two words.ini", ".hidden"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir("onset", 0o700); err != nil {
		t.Fatal(err)
	}
	s := (&fleet{t: t}).session()
	sh := &shell{c: s.ctl}
	s.ctl.shell = sh
	for line, want := range map[string]string{
		"config check on": "one.ini |onset/", "open o": "one.ini |onset/", "open ./o": "./one.ini |./onset/", "open ": "one.ini |onset/", "open .h": ".hidden ", "open x/": "",
	} {
		if _, found, _ := sh.complete(line, len(line)); strings.Join(found, "|") != want {
			t.Errorf("%q: %q, want %q", line, found, want)
		}
	}
}

// serveStore is the store of a fleet with a program, and its endpoint.
func serveStore(t *testing.T, p api.Program) string {
	t.Helper()
	mem := memstore.New(memstore.Options{})
	t.Cleanup(mem.Close)
	kv := mem.Client("test")
	keys := store.NewKeys("")
	if _, err := store.Init(t.Context(), kv, keys, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.New(kv, keys, "test").Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s", "x.sock")
	l, err := privatesock.Listen(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := etcdapi.New(kv)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return "unix://" + path
}

func TestOpenGoesToAnotherStoreForThisLineOrForTheRestOfAShell(t *testing.T) {
	gate.RealTime(t)
	t.Chdir(t.TempDir())
	first, second := serveStore(t, program("first", nil)), serveStore(t, program("second", nil))
	if err := os.WriteFile("two.ini", []byte("[etcd]\nendpoints = "+second+"\n[distsuperctl]\nprompt = two\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(lines string, args ...string) ran {
		s := (&fleet{t: t}).session()
		s.ctl.kv, s.ctl.client, s.ctl.in = nil, nil, strings.NewReader(lines)
		code := execute(t.Context(), s.ctl, args)
		return ran{code, s.stdout.String(), s.stderr.String()}
	}
	const one, two = "first                            STOPPED   -  Not started\n", "second                           STOPPED   -  Not started\n"
	for _, c := range []struct {
		lines string
		args  []string
		code  int
		out   string
	}{
		{"", []string{"open", second, "--etcd-endpoints", first}, exitDead, two},
		{"", []string{"open", "two.ini", "--etcd-endpoints", ""}, exitDead, two},
		{"status\nopen " + second + "\nstatus\nopen " + first + "\n", []string{"--etcd-endpoints", first}, exitOK, one + one + two + two + one},
		{"open two.ini\nstatus\n", []string{"--etcd-endpoints", first}, exitOK, one + two + two},
		{"open two.ini\n", []string{"-i", "--etcd-endpoints", first}, exitOK, one + "distsuper> " + two + "two> \n"},
		{"status --etcd-endpoints " + second + "\nstatus\n", []string{"--etcd-endpoints", first}, exitOK, one + two + one},
		{"open missing.ini\nstatus\n", []string{"--etcd-endpoints", first}, exitOK, one},
		{"open 127.0.0.1:1\nstatus\n", []string{"--etcd-endpoints", first}, exitOK, one},
	} {
		if r := run(c.lines, c.args...); r.code != c.code || r.out != c.out {
			t.Errorf("%q %q: exit %d, said\n%s%s\nwant %d,\n%s", c.args, c.lines, r.code, r.out, r.errout, c.code, c.out)
		}
	}
}

func TestShellReadsTheConfigurationAnewForEveryLine(t *testing.T) {
	t.Chdir(t.TempDir())
	first, second := serveStore(t, program("first", nil)), serveStore(t, program("second", nil))
	write := func(text string) {
		if err := os.WriteFile(config.FileName, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
	}
	write("[etcd]\nendpoints = " + first + "\n")
	s := (&fleet{t: t}).session()
	s.ctl.kv, s.ctl.client = nil, nil
	step := 0
	s.ctl.in = readerFunc(func(p []byte) (int, error) {
		step++
		switch step {
		case 1:
			write("[etcd]\nendpoints = " + second + "\n")
		case 2:
			write("broken")
		case 3:
			write("[etcd]\nendpoints = " + first + "\n")
		default:
			return 0, io.EOF
		}
		return copy(p, "status\n"), nil
	})
	if code := execute(t.Context(), s.ctl, nil); code != exitOK {
		t.Errorf("exit %d", code)
	}
	var names []string
	for line := range strings.Lines(s.stdout.String()) {
		names = append(names, strings.Fields(line)[0])
	}
	if strings.Join(names, " ") != "first second first" || !strings.Contains(s.stderr.String(), "before any section") {
		t.Errorf("it showed %q and said %s", names, s.stderr)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestCommandReadsLinesOnlyWhileItRuns(t *testing.T) {
	in := newInput(strings.NewReader("one\r\ntwo\nthree"))
	ctx, cancel := context.WithCancel(t.Context())
	command := &commandInput{ctx: ctx, typed: in}
	got := make([]byte, 2)
	for _, want := range []string{"on", "e\n"} {
		if n, err := command.Read(got); err != nil || string(got[:n]) != want {
			t.Errorf("read %q, %v, want %q", got[:n], err, want)
		}
	}
	cancel()
	if n, err := command.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("a command that has ended read %q, %v", got[:n], err)
	}
	for _, want := range []string{"two", "three"} {
		if line, err := in.next(t.Context()); line != want || err != nil {
			t.Errorf("the shell got %q, %v, want %q", line, err, want)
		}
	}
	if _, err := in.next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestHistoryIsKeptForItsOwnerAlone(t *testing.T) {
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	path := filepath.Join(state, "distsuper", "history")
	h := openHistory(nil, t.Errorf)
	for line, kept := range map[string]bool{"status": true, "": false, " secret": false, "\xff": false} {
		if h.add(line) != kept {
			t.Errorf("%q: kept is not %v", line, kept)
		}
	}
	if h.add("status") {
		t.Error("the same line again is kept")
	}
	other := openHistory(nil, t.Errorf) // a second shell
	other.add("stop all")
	h.add("start all")
	if got := openHistory(nil, t.Errorf).lines; !slices.Equal(got, []string{"status", "stop all", "start all"}) {
		t.Errorf("kept %q", got)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

func TestHistoryIsShortenedAndDoesNotGrowForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	var text strings.Builder
	for range 3 * liner.HistoryLimit {
		text.WriteString("status\n")
	}
	if err := os.WriteFile(path, []byte(text.String()+"\xff\n\nlast"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Ctl: config.CtlConfig{HistoryFile: path}}
	openHistory(cfg, t.Errorf)
	lines := openHistory(cfg, t.Errorf).lines
	if info, err := os.Stat(path); len(lines) != liner.HistoryLimit || lines[len(lines)-1] != "last" || err != nil || info.Mode() != 0o600 {
		t.Errorf("%d lines, %v, %v", len(lines), info.Mode(), err)
	}
}

func TestHistoryThatCannotBeKeptIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	told := 0
	warn := func(string, ...any) { told++ }
	for name, path := range map[string]string{"read": dir, "written": filepath.Join("/dev/null", "x")} {
		told = 0
		h := openHistory(&config.Config{Ctl: config.CtlConfig{HistoryFile: path}}, warn)
		if !h.add("one") || !h.add("two") || told != 1 {
			t.Errorf("%s: told %d times", name, told)
		}
	}
	told = 0
	if h := openHistory(&config.Config{Ctl: config.CtlConfig{HistoryFile: config.NoFile}}, warn); !h.add("one") || told != 0 || h.path != "" {
		t.Errorf("none: told %d times, at %q", told, h.path)
	}
}

func TestShellAsksAboutTheFleetInItsOwnWords(t *testing.T) {
	inFleet(t, nil, func(t *testing.T, f *fleet) {
		if r := f.types("shutdown --fleet\nn\n"); !strings.Contains(r.out, "Really stop the whole fleet and all its processes y/N? ") {
			t.Errorf("it asks %s", r.out)
		}
		if r := f.types("shutdown\nn\n"); !strings.Contains(r.out, "Really shut the remote supervisord process down y/N? ") {
			t.Errorf("it asks %s", r.out)
		}
	})
}

func TestEveryShellHasItsScript(t *testing.T) {
	for shell, word := range map[string]string{"bash": "complete ", "zsh": "#compdef distsuperctl", "fish": "complete -c distsuperctl", "powershell": "Register-ArgumentCompleter"} {
		if r := (&fleet{t: t}).wants(exitOK, "*", "completion", shell); !strings.Contains(r.out, word) || r.errout != "" {
			t.Errorf("%s has no %q, or says %s", shell, word, r.errout)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}} {
		(&fleet{t: t}).wants(exitUsage, "", args...)
	}
}
