// Package proctest has families of processes, for tests of what must find and kill them all.
package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/procfs"
)

// Patience is how long a test waits for what must happen soon.
const Patience = 20 * time.Second

// Eventually waits for a condition, which tells what it saw instead.
func Eventually(t testing.TB, ok func() (bool, string)) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		is, saw := ok()
		if is {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(saw)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// Numbers reads the numbers in a file, none when it is not there.
func Numbers(file string) []int {
	data, _ := os.ReadFile(file)
	var ns []int
	for _, field := range strings.Fields(string(data)) {
		if n, err := strconv.Atoi(field); err == nil {
			ns = append(ns, n)
		}
	}
	return ns
}

// AwaitNumbers waits until a file has n numbers.
func AwaitNumbers(t testing.TB, file string, n int) []int {
	t.Helper()
	var got []int
	Eventually(t, func() (bool, string) {
		got = Numbers(file)
		return len(got) >= n, fmt.Sprintf("%s has %v, want %d numbers", filepath.Base(file), got, n)
	})
	return got
}

// Living returns those of the pids that are alive: zombies are not.
func Living(pids []int) []int {
	var alive []int
	for _, pid := range pids {
		if p, ok := procfs.Read(pid); ok && !p.Dead() {
			alive = append(alive, pid)
		}
	}
	return alive
}

// AwaitDead waits until none of the pids is alive.
func AwaitDead(t testing.TB, pids []int) {
	t.Helper()
	Eventually(t, func() (bool, string) {
		alive := Living(pids)
		return len(alive) == 0, fmt.Sprintf("of %v these live: %v", pids, alive)
	})
}

// Family is a script whose main process lives with a background child, one in a session of its own,
// and one that forked twice; each writes its pid to the file.
func Family(file string) string {
	return fmt.Sprintf(`F=%s
sh -c 'echo $$ >>'$F'; exec sleep 1000' &
setsid sh -c 'echo $$ >>'$F'; exec sleep 1000' &
(setsid sh -c 'sh -c "echo \$\$ >>'$F'; exec sleep 1000" &' &)
echo $$ >>$F
while :; do sleep 1000; done`, file)
}

// FamilySize is how many pids Family writes.
const FamilySize = 4
