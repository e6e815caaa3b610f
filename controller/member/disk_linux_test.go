package member

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/test/fulldisk"
)

// What is not on disk is not promised: the next life would not wait for the end of it.
func TestAFullDiskEndsPromisesAndLeavesWhatWasWritten(t *testing.T) {
	disk := fulldisk.New(t, 1<<20, 0)
	inFleet(t, func(f *fleet) {
		f.dir = disk.Dir
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		d1 := f.start("d1", zap.NewNop())
		set := f.set().Revision
		f.granted(d1, set, true)
		must(disk.Fill())
		before, err := os.ReadFile(filepath.Join(f.dir, "d1", "promises"))
		must(err)
		until := time.Now()
		for range 120 { // the disk is ahead of the promises by a minute
			time.Sleep(time.Second)
			if a, err := f.ask(d1, set); err == nil && a.Promised() > 0 {
				until = time.Now().Add(a.Promised())
			} else if a.Reason == "" {
				t.Fatalf("it refuses without a reason: %+v, %v", a, err)
			}
		}
		if late := time.Until(until); late > 0 {
			t.Errorf("in the end it has promised %v more", late)
		}
		after, err := os.ReadFile(filepath.Join(f.dir, "d1", "promises"))
		must(err)
		if string(after) != string(before) {
			t.Errorf("the file was %q and is %q", before, after)
		}
		found, err := load(ownDisk{}, filepath.Join(f.dir, "d1", "promises"))
		must(err)
		if out := d1.now().Wanting(found.Record.Out); time.Now().Add(out).Before(until) {
			t.Errorf("it has promised until %v, and its file says until %v", until, time.Now().Add(out))
		}
		if entries, err := os.ReadDir(filepath.Join(f.dir, "d1")); err != nil || len(entries) != 1 {
			t.Errorf("half files are left: %v, %v", entries, err)
		}
		d1.end()
		d1 = f.start("d1", zap.NewNop())
		f.standing(d1, "started again on the full disk, where it cannot note that it registers", promise.Newcomer)
		must(disk.Free())
		time.Sleep(2 * again)
		f.standing(d1, "when there is room", promise.Free)
		f.granted(d1, f.set().Revision, true)
	})
}
