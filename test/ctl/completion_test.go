package ctl

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
)

const bashCompletion = "/usr/share/bash-completion/bash_completion"

// inPath is an environment in which a shell finds distsuperctl, which finds a solo of one group: web:web_0, web:web_1.
func inPath(t *testing.T) []string {
	t.Helper()
	d := newSolo(t, "[program:web]\ncommand = /bin/sleep 1000\nautostart = false\nnumprocs = 2\nprocess_name = web_%(process_num)d\n")
	d.start(0)
	dir := filepath.Dir(d.file)
	return append(os.Environ(), "TERM=xterm", "HOME="+dir, "ZDOTDIR="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir,
		"PATH="+bin.Path(t)+":"+os.Getenv("PATH"), "DISTSUPER_CONFIG="+d.file)
}

// completion is the script for a shell.
func completion(t *testing.T, shell string) string {
	t.Helper()
	script, err := exec.Command(bin.Program(t, "distsuperctl"), "completion", shell).Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBashCompletesNames(t *testing.T) {
	t.Parallel()
	env := inPath(t)
	script := completion(t, "bash")
	for _, c := range []struct{ name, before string }{{"alone", ""}, {"with bash-completion", bashCompletion}} {
		t.Run(c.name, func(t *testing.T) {
			setUp := "source " + script
			if c.before != "" {
				if _, err := os.Stat(c.before); err != nil {
					gate.Cannot(t, "the package bash-completion is not installed: %v", err)
				}
				setUp = "source " + c.before + "; " + setUp
			}
			for line, want := range map[string]string{
				"distsuperctl sta":                  "start status",
				"distsuperctl start ":               "web:web_0 web:web_1 web:* all",
				"distsuperctl start we":             "web:web_0 web:web_1 web:*",
				"distsuperctl start web:":           "web_0 web_1 *", // bash has web: as a word of its own
				"distsuperctl start web:web_1":      "web_1",
				"distsuperctl start web:web_0 web:": "web_1 *",
				"distsuperctl start --no-w":         "--no-wait",
				"distsuperctl tail web:web_0 ":      "stdout stderr",
				"distsuperctl completion ba":        "bash",
				"distsuperctl frobnicate ":          "",
			} {
				bash := exec.Command("bash", "--norc", "--noprofile", "-c", setUp+`
					compopt() { :; } # only a shell that completes has it
					COLUMNS=80 COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
					# As readline has them: colons are words of their own.
					read -ra COMP_WORDS <<< "${1//:/ : }"
					[[ $1 == *' ' ]] && COMP_WORDS+=("")
					COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
					__start_distsuperctl distsuperctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
					printf '%s\n' "${COMPREPLY[@]}"`, "bash", line)
				bash.Env = env
				out, err := bash.CombinedOutput()
				var got []string
				for reply := range strings.Lines(string(out)) {
					name, _, _ := strings.Cut(strings.TrimSpace(reply), " ") // what describes it follows
					got = append(got, name)
				}
				if err != nil || strings.TrimSpace(strings.Join(got, " ")) != want {
					t.Errorf("%q: %q, %v, want %q", line, got, err, want)
				}
			}
		})
	}
}

func TestBashAtATerminalCompletesWhatIsTyped(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(inPath(t), "PS1=$ ")
	p := atTerminal(t, cmd)
	p.sees("$ ")
	p.types("source <(distsuperctl completion bash)\r")
	p.sees("$ ")
	p.types("distsuperctl status w\t")
	p.sees("eb:")
	p.types("web_1\t\r")
	p.sees("web:web_1                        STOPPED")
	p.sees("$ ")
	p.types("exit\r")
	p.ends()
}

func TestFishCompletesNames(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("fish"); err != nil {
		gate.Cannot(t, "fish is not installed: %v", err)
	}
	env := inPath(t)
	script := completion(t, "fish")
	for line, want := range map[string]string{
		"distsuperctl start we": "web:* web:web_0 web:web_1", "distsuperctl start web:web_1": "web:web_1", "distsuperctl reba": "rebalance",
	} {
		fish := exec.Command("fish", "--no-config", "-c", "source "+script+"; complete -C '"+line+"'")
		fish.Env = env
		out, err := fish.CombinedOutput()
		var got []string
		for reply := range strings.Lines(string(out)) {
			name, _, _ := strings.Cut(strings.TrimSpace(reply), "\t")
			got = append(got, name)
		}
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v, want %q", line, got, err, want)
		}
	}
}

func TestZshAtATerminalCompletesWhatIsTyped(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("zsh"); err != nil {
		gate.Cannot(t, "zsh is not installed: %v", err)
	}
	script := completion(t, "zsh")
	cmd := exec.Command("zsh", "-f", "-i")
	cmd.Env = append(inPath(t), "PS1=$ ")
	p := atTerminal(t, cmd)
	p.sees("$ ")
	p.types("autoload -U compinit && compinit -u -D && source " + script + " && echo re''ady\r")
	p.sees("ready\r\n")
	p.sees("$ ")
	p.types("distsuperctl status w\t")
	p.sees("eb:")
	p.types("web_1\t\r")
	p.sees("web:web_1                        STOPPED")
	p.types("exit\r")
	p.sees("exit")
	<-p.ended
}
