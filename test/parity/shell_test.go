package parity

import (
	"bytes"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A session is lines that are typed into each side's shell.
type session struct {
	name    string
	typed   string
	differs string
}

var sessions = []session{
	{name: "status comes first", typed: ""},
	{name: "commands in turn", typed: "status a\npid b\nstart b\nstop b\nstart nosuch\nstatus nosuch:*\nquit\n"},
	{name: "empty lines", typed: "\n   \n\nstatus a\n\n"},
	{name: "an unknown command", typed: "bogus\nbogus a b\nstatus a\n"},
	{name: "an error ends nothing", typed: "start\nsignal NOPE a\navail\nexit\n", differs: "usage-in-shell"},
	{name: "exit ends it", typed: "exit\nstop a\n"},
	{name: "what is behind the last line break", typed: "status a\nstatus b"},
	{name: "a restart of the daemon, not really", typed: "reload\nn\nstatus a\n"},
	{name: "the end of the daemon, not really", typed: "shutdown\nno\nstatus a\n"},
}

// inShell runs a session on both sides, with -i and without it.
func inShell(r *ran, typed string, args ...string) answer {
	a := r.masker().answer(r.askWith(typed, args...))
	// A prompt is no text of a line; whose it is, is the one thing that differs in it.
	a.Out = strings.ReplaceAll(a.Out, "distsuper> ", "supervisor> ")
	return a
}

// TestShellAnswersAsSupervisorctls pipes the same lines into each side's shell.
func TestShellAnswersAsSupervisorctls(t *testing.T) {
	t.Parallel()
	sides := startBoth(t, ensemble, nil)
	onBoth(sides, ensembleUp)
	compare := func(name, typed, differs string, args ...string) {
		var said [2]answer
		onBoth(sides, func(r *ran) { said[slices.Index(sides[:], r)] = inShell(r, typed, args...) })
		if differs != "" {
			out := shellDifferences[differs](said[1].Out)
			if out == said[1].Out {
				t.Errorf("%s %v names the difference %s, which means nothing for it", name, args, differs)
			}
			said[1].Out = out
		}
		if problem := said[0].unlike(said[1]); problem != "" {
			t.Errorf("%s %v: %s", name, args, problem)
		}
	}
	for _, s := range sessions {
		compare(s.name, s.typed, s.differs, "-i")
	}
	compare("without a command", sessions[1].typed, "prompt-in-pipe")
	compare("a command and -i", "", "", "-i", "status", "a")
	compare("shutdown", "shutdown\ny\n", "", "-i")
	for _, r := range sides {
		if code := r.wait(); code != 0 {
			t.Errorf("%s: exit code %d", r, code)
		}
	}
}

// shellDifferences make of what supervisorctl writes in a session what ours has to.
var shellDifferences = map[string]func(string) string{
	// The usage of ours goes to standard error.
	"usage-in-shell": func(out string) string {
		var b strings.Builder
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "start <") && !strings.HasPrefix(line, "start all\t") {
				b.WriteString(line)
			}
		}
		return b.String()
	},
	// Without a terminal and without -i ours prompts nobody.
	"prompt-in-pipe": func(out string) string {
		return strings.TrimSuffix(strings.ReplaceAll(out, "supervisor> ", ""), "\n")
	},
}

// TestForegroundShowsAndHandsOver speaks with a process through fg. How it ends is not compared: at the end of its
// input supervisorctl dies of an exception in its own thread, or hangs.
func TestForegroundShowsAndHandsOver(t *testing.T) {
	t.Parallel()
	sides := startBoth(t, talker, nil)
	var shown [2]string
	for i, r := range sides {
		r.until(func() bool { return r.read("talker.out") != "" && r.read("talker.err") != "" }, "talker says nothing")
		out := &locked{}
		cmd := exec.Command(r.ctl, "-c", r.path("s.conf"), "fg", "talker")
		cmd.Dir, cmd.Stdout = r.dir, out
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		says := func(text string) {
			r.until(func() bool { return strings.Contains(out.String(), text) }, "fg does not say %q, but %q", text, out)
		}
		says("from stdout")
		says("from stderr")
		if _, err := io.Copy(in, bytes.NewBufferString("hello\n")); err != nil {
			t.Fatal(err)
		}
		says("hello")
		shown[i] = sortedLines(out.String())
	}
	if shown[0] != shown[1] {
		t.Errorf("ours shows %q, theirs %q", shown[0], shown[1])
	}
}
