//go:build linux

package daemon

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func tailText(t *testing.T, path string, n int64) string {
	t.Helper()
	r, err := Tail(t.Context(), path, n, false)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTailIsTheLastBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.log")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int64]string{0: "", 4: "two\n", 100: "one\ntwo\n", -1: "one\ntwo\n"} {
		if got := tailText(t, path, n); got != want {
			t.Errorf("the last %d bytes are %q, want %q", n, got, want)
		}
	}
	if _, err := Tail(t.Context(), path+".none", 1, true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a file that is not there: %v", err)
	}
	if _, err := Tail(t.Context(), os.DevNull, 1, true); err == nil {
		t.Error("a device is read")
	}
}

// TestTailFollowsALogOverItsRotations writes much faster than a follower looks, so that it finds itself several files
// behind.
func TestTailFollowsALogOverItsRotations(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d.log")
	log := openTestLog(t, Logging{File: name, MaxBytes: 2000, Backups: 200, Level: "info"})
	r, err := Tail(t.Context(), name, -1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const lines = 1000
	go func() {
		for i := range lines {
			log.Info("line", zap.Int("number", i))
			if i%100 == 0 {
				time.Sleep(pollInterval / 10)
			}
		}
	}()
	end := time.AfterFunc(30*time.Second, func() { r.Close() })
	defer end.Stop()
	all := bufio.NewScanner(r)
	for i := range lines {
		if !all.Scan() || !strings.Contains(all.Text(), fmt.Sprintf(`{"number": %d}`, i)) {
			t.Fatalf("line %d is %q", i, all.Text())
		}
	}
}

func TestTailWaitsForARotationThatIsUnderWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.log")
	if err := os.WriteFile(path+".1", []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() {
		if err := os.WriteFile(path+".new", []byte("new\n"), 0o600); err == nil {
			err = os.Rename(path+".new", path)
			if err != nil {
				t.Error(err)
			}
		}
	})
	if got := tailText(t, path, -1); got != "new\n" {
		t.Errorf("it is %q", got)
	}
}

func TestTailFollowsALogThatIsEmptiedOrMovedAway(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d.log")
	log := openTestLog(t, Logging{File: name, Level: "info"})
	r, err := Tail(t.Context(), name, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	end := time.AfterFunc(30*time.Second, func() { r.Close() })
	defer end.Stop()
	all := bufio.NewScanner(r)
	expect := func(want string) {
		t.Helper()
		log.Info(want)
		if !all.Scan() || !strings.HasSuffix(all.Text(), want) {
			t.Fatalf("read %q, want %q", all.Text(), want)
		}
	}
	expect("a line that is rather long at first")
	if err := os.Truncate(name, 0); err != nil {
		t.Fatal(err)
	}
	expect("short")
	if err := os.Rename(name, name+".old"); err != nil {
		t.Fatal(err)
	}
	expect("into the old file")
	if err := log.Reopen(); err != nil {
		t.Fatal(err)
	}
	expect("into the new one")
}

func TestTailEndsWithItsContext(t *testing.T) {
	name := filepath.Join(t.TempDir(), "d.log")
	openTestLog(t, Logging{File: name, Level: "info"})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Tail(ctx, name, -1, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	time.AfterFunc(time.Millisecond, cancel)
	if text, err := io.ReadAll(r); err != nil || len(text) > 0 {
		t.Errorf("read %q, %v", text, err)
	}
}
