package parity

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/reaper"
)

// home is the home directory that both sides read files with.
const home = "/root"

// environ is the environment that both sides read files in, and host the name of the machine.
var environ = map[string]string{"HOME": home, "PATH": "/usr/bin:/bin", "N": "3", "PORT": "8000", "APP": "shop", "START": "true", "ODD": "50% (x)", "EMPTY": ""}

const host = "desk"

// A question is a file for the oracle.
type question struct {
	Path    string            `json:"path"`
	Environ map[string]string `json:"environ"`
	Host    string            `json:"host"`
	// Strict looks for the users and directories of this host, as supervisor does.
	Strict bool `json:"strict,omitempty"`
}

// oracle is the one Python process with supervisor's own parser in it that all tests ask.
var oracle struct {
	once    sync.Once
	missing string // why there is none
	mu      sync.Mutex
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

const python = "/usr/bin/python3"

func startOracle() {
	if _, err := os.Stat(python); err != nil {
		oracle.missing = err.Error()
		return
	}
	if out, err := exec.Command(python, "-c", "import supervisor.options").CombinedOutput(); err != nil {
		oracle.missing = fmt.Sprintf("%s knows no supervisor: %s", python, out)
		return
	}
	cmd := exec.Command(python, filepath.Join("testdata", "oracle.py"))
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "HOME="+home)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.ReadCloser
		if out, err = cmd.StdoutPipe(); err == nil {
			oracle.in, oracle.out, oracle.cmd = in, bufio.NewReaderSize(out, 1<<20), cmd
			err = cmd.Start()
		}
	}
	if err != nil {
		oracle.missing = "start it: " + err.Error()
	}
}

// needOracle skips a test where supervisor is missing, and fails it where CI=true says that it should be there.
func needOracle(t *testing.T) {
	t.Helper()
	oracle.once.Do(startOracle)
	if oracle.missing == "" {
		return
	}
	gate.Cannot(t, "no oracle: %s", oracle.missing)
}

// theirs is what supervisor makes of a file.
func theirs(t *testing.T, path string, strict bool) reading {
	t.Helper()
	oracle.mu.Lock()
	defer oracle.mu.Unlock()
	line, err := json.Marshal(question{Path: path, Environ: environ, Host: host, Strict: strict})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oracle.in.Write(append(line, '\n')); err != nil {
		t.Fatalf("ask the oracle: %v", err)
	}
	text, err := oracle.out.ReadBytes('\n')
	if err != nil {
		t.Fatalf("the oracle's answer about %s: %v", path, err)
	}
	var r reading
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("the oracle's answer about %s: %v in %.200s", path, err, text)
	}
	return r.sorted()
}

func TestMain(m *testing.M) { os.Exit(reaper.Run(func() int { return run(m) })) }

func run(m *testing.M) int {
	// Daemons mostly wait, for whole seconds: more of them than cores may run at once.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err) // it is a flag of package testing
	}
	code := m.Run()
	bin.Remove()
	if oracle.cmd != nil {
		oracle.in.Close()
		if err := oracle.cmd.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			code = 1
		}
	}
	return code
}
