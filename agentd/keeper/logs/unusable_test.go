package logs

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAMistakeIsToldFromWhatHeals looks at every kind of file that a path may lead to.
func TestAMistakeIsToldFromWhatHeals(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(at("folder"), 0o700))
	must(os.WriteFile(at("file"), []byte("kept\n"), 0o600))
	must(unix.Mkfifo(at("fifo"), 0o600))
	listener, err := net.Listen("unix", at("socket"))
	must(err)
	defer listener.Close()
	for link, to := range map[string]string{"to folder": "folder", "loop": "loop", "to nothing": "missing/x.log", "to new": "made.log"} {
		must(os.Symlink(to, at(link)))
	}
	auto := Auto{Dir: at("auto")}
	for _, c := range []struct {
		path string
		want unix.Errno
	}{
		{at("new.log"), 0}, {at("file"), 0}, {at("fifo"), 0}, {at("to new"), 0}, {auto.Path("p", "stdout"), 0}, {"/dev/null", 0}, {"/dev/stdout", 0},
		{"/dev/full", 0}, // as good as a full disk
		{at("folder"), unix.EISDIR}, {at("to folder"), unix.EISDIR}, {"/dev/fd", unix.EISDIR}, {at("file/x.log"), unix.ENOTDIR}, {at("loop"), unix.ELOOP},
		{at("missing/x.log"), unix.ENOENT}, {at("to nothing"), unix.ENOENT}, {"/dev/nothing", unix.ENOENT}, {at("socket"), unix.ENXIO},
		{at(strings.Repeat("x", 300)), unix.ENAMETOOLONG},
	} {
		if got := auto.Unusable(c.path); got != c.want {
			t.Errorf("%s: %v, want %v", c.path, got, c.want)
		}
		if link := at("to new"); c.path == link && !exists(at("made.log")) {
			t.Errorf("%s was not made", link)
		}
	}
	if text, err := os.ReadFile(at("file")); string(text) != "kept\n" {
		t.Errorf("a file that was there has %q, %v", text, err)
	}
	if err := unix.Access(at("fifo"), unix.F_OK); err != nil {
		t.Error(err)
	}
}

// TestWhatMayHealIsNoMistake: a full disk, one that fails, and what runs out for a while.
func TestWhatMayHealIsNoMistake(t *testing.T) {
	for _, err := range []unix.Errno{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EAGAIN, unix.ESTALE} {
		for _, mistake := range mistakes {
			if err == mistake {
				t.Errorf("%v ends by waiting", err)
			}
		}
	}
}
