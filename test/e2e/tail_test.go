package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/distsuper/distsuper/pkg/client"
)

// Property: tail -f shows every line once and in order while the agents that it asks are killed and come back, and the log is
// rotated meanwhile. Left out: a process that moves, and output that is gone by then (packages logs, agentd/web and distsuperctl).
func TestTailGoesOnWhereItWasWhenTheAgentIsKilled(t *testing.T) {
	t.Parallel()
	f := start(t, 1, 1)
	p := client.Program("counter", `i=0; while :; do i=$((i+1)); echo "line $i"; [ $((i %% 50)) -ne 0 ] || sleep 0.01; done`)
	p.Shell, p.Autostart, p.TouchTimeout = true, true, calm
	p.Stdout.MaxBytes, p.Stdout.Backups = 20_000, 50
	f.run(1, p)
	machine := f.Machines[0]

	tail := machine.Command(f.ctx, "distsuperctl", "tail", "-f", "counter")
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errors bytes.Buffer
	tail.Stderr = &errors
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64 // the last number
	wrong := make(chan error, 1)
	go func() {
		defer close(wrong)
		lines := bufio.NewScanner(out)
		lines.Scan() // may be half a line
		for last := 0; lines.Scan(); {
			var n int
			if _, err := fmt.Sscanf(lines.Text(), "line %d", &n); err != nil || last != 0 && n != last+1 {
				wrong <- fmt.Errorf("after line %d comes %q", last, lines.Text())
				return
			}
			last = n
			seen.Store(int64(n))
		}
	}()
	for range 3 {
		before := seen.Load()
		f.until("tail shows what comes", func() (bool, string) {
			return seen.Load() > before+3000, fmt.Sprintf("line %d after line %d", seen.Load(), before)
		})
		f.kill(machine, "distsuperagent run")
		f.must(machine, "distsuperagent", "start")
	}
	before := seen.Load()
	f.until("tail shows what comes after the last agent", func() (bool, string) {
		return seen.Load() > before+3000, fmt.Sprintf("line %d after line %d", seen.Load(), before)
	})
	tail.Process.Kill()
	if err := <-wrong; err != nil {
		t.Errorf("%v\n%s", err, errors.String())
	}
	tail.Wait()
	if bytes.Contains(errors.Bytes(), []byte("missing here")) || !bytes.Contains(errors.Bytes(), []byte("trying again")) {
		t.Errorf("it says of what happened\n%s", errors.String())
	}
}
