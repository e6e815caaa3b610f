package parity

import (
	"fmt"
	"strings"
	"sync"
)

// An answerDifference is a place where distsuperctl knowingly answers otherwise than supervisorctl. want makes of their
// answer what ours has to be; it sees ours where anything of a kind will do.
type answerDifference struct {
	id, why string
	want    func(theirs, ours answer) answer
}

// notRunning is what distsuperctl says when nobody is there.
const notRunning = `distsuperctl: distsuperd solo does not run with HERE/s.conf: start it with "distsuperd solo -c HERE/s.conf", or, if another user started it, be that user`

var answerDifferences = []answerDifference{
	{"usage", "the usage of ours goes to standard error, as errors do, and its words are its own", func(theirs, ours answer) answer {
		theirs.Out, _, _ = strings.Cut(theirs.Out, "\n")
		theirs.Out += "\n"
		return theirs
	}},
	{"help", "the help of ours is its own; only the exit code is supervisorctl's", func(theirs, ours answer) answer {
		if ours.Out != "" {
			theirs.Out = ours.Out
		}
		return theirs
	}},
	{"flags", "a word that begins with a dash is a flag for ours, and an unknown one is wrong use", func(_, _ answer) answer {
		return answer{Code: 2}
	}},
	{"tail-newline", "supervisorctl ends every tail with a line break of its own; ours prints what is in the log", func(theirs, _ answer) answer {
		theirs.Out = strings.TrimSuffix(theirs.Out, "\n")
		return theirs
	}},
	{"tail-f-unknown", "supervisorctl follows a log that is not there, and exits with 0", func(_, _ answer) answer {
		return answer{Out: "nosuch: ERROR (no such process name)\n", Code: 1}
	}},
	{"nobody", "ours tells on standard error what to do; it exits with 7 where some commands of supervisorctl die of a Python exception and exit with 1", func(theirs, ours answer) answer {
		theirs.Out, theirs.Err = "", notRunning
		if strings.HasPrefix(ours.Err, notRunning) {
			theirs.Err = "" // and perhaps more
		}
		if theirs.Code == 1 {
			theirs.Code = 7
		}
		return theirs
	}},
	{"open", "ours opens endpoints of etcd and files, too; what cannot be opened is wrong use, silence is exit code 4, and else it is status", func(theirs, _ answer) answer {
		switch {
		case theirs.Code == 1:
			return answer{Code: 2}
		case strings.HasSuffix(theirs.Out, "no such file\n"):
			return answer{Code: 4}
		}
		return answer{Out: theirs.Out, Code: 3} // as status has it
	}},
	{"update-stops", "supervisorctl says of each changed group that it is stopped; ours only where something was", func(theirs, _ answer) answer {
		theirs.Out = strings.ReplaceAll(theirs.Out, "b: stopped\n", "")
		return theirs
	}},
	{"clear-group", "supervisorctl knows no groups in clear, and speaks of a process None", func(_, ours answer) answer {
		if strings.Contains(ours.Out, "nosuch") {
			return answer{Out: "nosuch: ERROR (no such group)\n", Code: 1}
		}
		return answer{Out: "g:x: cleared\ng:y: cleared\n"}
	}},
	{"unparsed-command", "supervisorctl says of a command that cannot be split that it is not executable", func(_, _ answer) answer {
		return answer{Out: "unparsed: ERROR (spawn error)\n", Err: `distsuperctl: unparsed: can't parse command 'sleep "1': No closing quotation`, Code: 7}
	}},
	{"fatal-at-once", "what cannot be spawned at all stays STOPPED in supervisor when it was started by hand; in ours it is FATAL and says why", func(theirs, _ answer) answer {
		for name, reason := range map[string]string{
			"elsewhere": "couldn't chdir to /no/such/directory: ENOENT", "folder": "command at '/tmp' is a directory", "missing": "can't find command '/no/such/command'",
			"nowhere": "can't find command 'no-such-command-anywhere'", "plain": "command at 'HERE/plain' is not executable",
			"unparsed": `can't parse command 'sleep "1': No closing quotation`,
		} {
			lines := strings.Split(theirs.Out, "\n")
			for i, line := range lines {
				if words := strings.Fields(line); len(words) > 0 && words[0] == name {
					lines[i] = fmt.Sprintf("%-33s%-10s%s", name, "FATAL", reason)
				}
			}
			theirs.Out = strings.Join(lines, "\n")
		}
		return theirs
	}},
	{"refused-configuration", "why a configuration is refused is said in words of ours, and update says it as reread does", func(_, ours answer) answer {
		const begins = "ERROR: CANT_REREAD: HERE/s.conf:"
		if !strings.HasPrefix(ours.Out, begins) || strings.Count(ours.Out, "\n") != 1 {
			return answer{Out: begins + "...\n", Code: 1}
		}
		return answer{Out: ours.Out, Code: 1}
	}},
}

// metDifferences judges answers, and knows which differences were met.
type metDifferences struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (m *metDifferences) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ids[id]
}

// judge says what is wrong with our answer; "" is nothing. Where a line names a difference, the answers have to differ
// by exactly that.
func (m *metDifferences) judge(differs string, ours, theirs answer) string {
	if differs == "" {
		return ours.unlike(theirs)
	}
	for _, d := range answerDifferences {
		if d.id != differs {
			continue
		}
		want := d.want(theirs, ours)
		if want == theirs {
			return fmt.Sprintf("it names the difference %s, which means nothing for this answer\ntheirs: %v", differs, theirs)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.ids == nil {
			m.ids = map[string]bool{}
		}
		m.ids[differs] = true
		return ours.unlike(want)
	}
	return "there is no difference " + differs
}
