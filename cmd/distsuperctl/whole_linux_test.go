package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/fulldisk"
)

// What a full disk has no room for is not there, and what was there before stays.
func TestAFullDiskLeavesNoHalfFiles(t *testing.T) {
	disk := fulldisk.New(t, 1<<20, 0)
	for name, write := range map[string]func(path string) error{
		"backup": func(path string) error {
			_, err := writeWhole(path, true, func(w io.Writer) error {
				_, err := io.WriteString(w, strings.Repeat("x", 100<<10))
				return err
			})
			return err
		},
		"distsuper.ini": func(path string) error { return writeNew(path, "[etcd]\n", true) },
		"machines.json": func(path string) error { return addressBook{Endpoints: []string{"e"}}.write(path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(disk.Dir, name)
			if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := disk.Fill(); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
			defer disk.Free()
			if err := write(path); err == nil || !strings.Contains(err.Error(), "write "+path+": ") || !strings.Contains(err.Error(), "no space left") {
				t.Errorf("it says: %v", err)
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "old" {
				t.Errorf("the file has %q, %v", text, err)
			}
			if entries, err := os.ReadDir(disk.Dir); err != nil || len(entries) != 2 { // and the ballast
				t.Errorf("left are %v, %v", entries, err)
			}
		})
	}
}

func TestAFileIsReplacedOnlyWhenItIsMeant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for i, force := range []bool{false, true, false} {
		err := writeNew(path, "text", force)
		if wanted := i < 2; (err == nil) != wanted {
			t.Errorf("write %d: %v", i, err)
		}
	}
}
