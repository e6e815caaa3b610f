package slowdisk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const role = "be-one-that-syncs"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == role {
		os.Exit(syncAll(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// syncAll writes and syncs files, and prints how long each took.
func syncAll(files []string) int {
	for _, name := range files {
		f, err := os.Create(name)
		if err != nil {
			return 1
		}
		began := time.Now()
		if _, err := f.WriteString("x"); err != nil || f.Sync() != nil || f.Close() != nil {
			return 1
		}
		fmt.Println(time.Since(began).Milliseconds())
	}
	return 0
}

func TestEachFsyncTakesAsLongAsIsSaid(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var d Disk
	took := func(by time.Duration) (ms []int) {
		t.Helper()
		d.Delay(by)
		dir := t.TempDir()
		var out strings.Builder
		cmd := exec.Command(self, role, filepath.Join(dir, "a"), filepath.Join(dir, "b"))
		cmd.Stdout = &out
		if err := d.Start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.Fields(out.String()) {
			var n int
			if _, err := fmt.Sscan(word, &n); err != nil {
				t.Fatal(err)
			}
			ms = append(ms, n)
		}
		return ms
	}
	took(0) // it works
	if ms := took(300 * time.Millisecond); len(ms) != 2 || min(ms[0], ms[1]) < 300 {
		t.Errorf("two of them took %v ms, want 300 and more", ms)
	}
}
