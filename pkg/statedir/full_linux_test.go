package statedir

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/fulldisk"
)

func TestAFullDiskLeavesTheOldFileAndSaysWhatToDo(t *testing.T) {
	disk := fulldisk.New(t, 2<<20, 0)
	path := filepath.Join(disk.Dir, "state")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(Keep(disk.Dir))
	must(WriteFile(path, []byte("old")))
	must(disk.Fill())
	must(WriteFile(path, []byte("by the reserve")))
	must(os.Remove(filepath.Join(disk.Dir, reserveName)))
	must(disk.Fill())
	err := WriteFile(path, []byte("new"))
	if !Full(err) || !strings.Contains(err.Error(), "write "+path) || !strings.Contains(err.Error(), "make room on its disk") {
		t.Errorf("it says: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "by the reserve" {
		t.Errorf("the file has %q, %v", text, err)
	}
	if entries, err := os.ReadDir(disk.Dir); err != nil || len(entries) != 2 { // and the ballast
		t.Errorf("left are %v, %v", entries, err)
	}
	must(disk.Free())
	must(WriteFile(path, []byte("new")))
}
