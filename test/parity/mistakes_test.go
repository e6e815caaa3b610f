package parity

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestALogThatCanNeverBeWrittenIsFatalAsUnderSupervisord: nobody waits for a folder to become a file.
func TestALogThatCanNeverBeWrittenIsFatalAsUnderSupervisord(t *testing.T) {
	t.Parallel()
	const program = "[program:NAME]\ncommand=sleep 1000\nautostart=false\nstartsecs=0\nstartretries=0\nCHANNEL_logfile=%(here)s/PATH\n"
	section := func(name, channel, path string) string {
		return strings.NewReplacer("NAME", name, "CHANNEL", channel, "PATH", path).Replace(program)
	}
	sides := startBoth(t, section("folder", "stdout", "folder")+section("loop", "stderr", "loop")+section("dangling", "stdout", "dangling"), nil)
	for _, r := range sides {
		if err := os.Mkdir(r.path("folder"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, to := range map[string]string{"loop": "loop", "dangling": "missing/x.log"} {
			if err := os.Symlink(to, r.path(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	where := regexp.MustCompile(`(?m) \(std(out|err)_logfile .*\)$`) // which ours says besides
	for _, words := range []string{"start folder", "start loop", "start dangling", "status"} {
		var said [2]answer
		for i, r := range sides {
			if words == "status" {
				r.until(func() bool { return strings.Count(r.ask("status").Out, "FATAL") == 3 }, "not all are FATAL")
			}
			said[i] = r.masker().answer(r.ask(strings.Fields(words)...))
		}
		if words == "status" && len(where.FindAllString(said[0].Out, -1)) != 3 {
			t.Errorf("ours does not name the files:\n%s", said[0].Out)
		}
		said[0].Out = where.ReplaceAllString(said[0].Out, "")
		if problem := said[0].unlike(said[1]); problem != "" {
			t.Errorf("%q: %s", words, problem)
		}
	}
}
