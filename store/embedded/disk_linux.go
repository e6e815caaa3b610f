package embedded

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/statedir"
)

// segment is what etcd allocates for its log at a time; without so much room it ends.
const segment = 64 << 20

// DiskTrouble says that the disk of an embedded etcd that does not answer is too full for it, and what to do; "" when it is not.
func DiskTrouble(stateDir string) string {
	d, err := DirOf(stateDir)
	if err != nil {
		return ""
	}
	return d.diskTrouble()
}

func (d Dir) diskTrouble() string {
	var disk unix.Statfs_t
	if unix.Statfs(string(d), &disk) != nil || statedir.Available(disk) >= segment {
		return ""
	}
	return fmt.Sprintf("the disk of %s is full (%d MB are left, and etcd allocates %d MB at a time): make room on it, and distsuperd starts etcd again "+
		"within 10 s; nothing that etcd acknowledged is lost", d, statedir.Available(disk)>>20, segment>>20)
}
