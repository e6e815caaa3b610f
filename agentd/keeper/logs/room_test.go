package logs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest"

	"github.com/distsuper/distsuper/test/gate"
)

func TestEachAutoLogHasItsShareOfTheRoom(t *testing.T) {
	for _, c := range []struct{ together, most, files, want int64 }{
		{0, 50 << 20, 1000, 50 << 20},                 // no bounds
		{10 << 30, 50 << 20, 4, 50 << 20},             // few have what was asked for
		{10 << 30, 50 << 20, 2000, (10 << 30) / 4000}, // many share
		{10 << 30, 0, 4, (10 << 30) / 8},              // without a limit of their own, too
		{1 << 20, 50 << 20, 1000, leastShare},         // but a little each
		{10 << 30, 1 << 20, 0, 1 << 20},
	} {
		if got := (Room{Together: c.together}).share(c.most, c.files); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestTheOldestOldFilesMakeRoom(t *testing.T) {
	files := []logFile{{"a.log", 40, 1}, {"a.log.1", 30, 5}, {"a.log.2", 30, 3}, {"b.log.1", 30, 4}, {"notes.txt", 30, 0}}
	remove, total := Room{Together: 120}.excess(files)
	if !slices.Equal(remove, []string{"a.log.2", "b.log.1"}) || total != 100 {
		t.Errorf("it removes %q, and %d are left", remove, total)
	}
}

// smallRoom is a collector whose AUTO logs are on a small disk.
func smallRoom(t *testing.T) (*Collector, string) {
	t.Helper()
	gate.Root(t)
	dir := filepath.Join(mountSmall(t, "16m"), "logs")
	room, err := RoomOn(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Auto: Auto{Dir: dir, Room: room}}, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, dir
}

func TestAutoLogsStayWithinTheirRoom(t *testing.T) {
	c, _ := smallRoom(t)
	for i := range 4 {
		name := fmt.Sprintf("p%d", i)
		w := attach(t, c, Sink{Process: name, Path: c.auto.Path(name, "stdout"), MaxBytes: 50 << 20, Backups: 10})
		for range 40 { // 4 x 4 MB, and together they may take 1.6 MB
			write(t, w, numbered("x", 2000))
		}
	}
	flush(t, c)
	total := int64(0)
	for _, f := range c.autoFiles() {
		total += f.size
	}
	// Between two looks one file may be rotated.
	if most := c.auto.Room.Together + c.auto.Room.share(0, 4); total > most || total < c.auto.Room.Together/2 {
		t.Errorf("they take %d bytes, of %d", total, most)
	}
	if newest := whole(t, c.auto.Path("p3", "stdout")); !strings.HasSuffix(string(newest), string(numbered("x", 2000))) {
		t.Error("the newest output is gone")
	}
}

func TestAutoLogsWaitWhereTheStateNeedsTheRoom(t *testing.T) {
	c, dir := smallRoom(t)
	path := c.auto.Path("web", "stdout")
	w := attach(t, c, Sink{Process: "web", Path: path})
	ballast := filepath.Join(filepath.Dir(dir), "ballast")
	if err := os.WriteFile(ballast, make([]byte, 15<<20+800<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, w, []byte("held up\n"))
	eventually(t, "the problem is told", func() bool { return strings.Contains(c.Problem(path), "reserved for the state") })
	if err := os.WriteFile(filepath.Join(filepath.Dir(dir), "state"), make([]byte, 64<<10), 0o600); err != nil {
		t.Errorf("the state has no room: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool { b, _ := os.ReadFile(path); return string(b) == "held up\n" && c.Problem(path) == "" })
}
