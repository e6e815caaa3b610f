package contain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/test/fulldisk"
)

// A keeper that cannot write itself down begins nothing: whoever comes after it would not know what to look for. What was written before
// stays.
func TestAKeeperThatCannotBeWrittenDownIsToldSo(t *testing.T) {
	disk := fulldisk.New(t, 1<<20, 0)
	s, err := OpenState(disk.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.AddKeeper(KeeperRecord{Instance: "first"}); err != nil {
		t.Fatal(err)
	}
	if err := disk.Fill(); err != nil {
		t.Fatal(err)
	}
	if err := s.AddKeeper(KeeperRecord{Instance: "second"}); err == nil || !strings.Contains(err.Error(), s.Path()+": ") ||
		!strings.Contains(err.Error(), "make room") {
		t.Errorf("it says: %v", err)
	}
	data, err := ReadState(filepath.Join(disk.Dir, stateName))
	if err != nil || len(data.Keepers) != 1 || data.Keepers[0].Instance != "first" {
		t.Errorf("the file has %+v, %v", data, err)
	}
	if entries, err := os.ReadDir(disk.Dir); err != nil || len(entries) != 3 { // with the lock and the ballast
		t.Errorf("left are %v, %v", entries, err)
	}
}
