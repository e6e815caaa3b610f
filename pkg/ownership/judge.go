package ownership

import (
	"fmt"
	"io/fs"

	"github.com/distsuper/distsuper/pkg/visible"
)

// entry is what matters of a file, directory or link.
type entry struct {
	path     string
	mode     fs.FileMode
	uid, gid int
}

// UntrustedError says that another user than ours and root has, or could have, a say in something.
type UntrustedError struct {
	Path string
	Why  string // a clause whose subject is Path, and what to do
}

func (e *UntrustedError) Error() string { return e.Path + " " + e.Why }

// judge says why an entry is not to be trusted by the user euid; nil when it is. Of groups only root is careful: many users
// have one of their own. A group whose id is 0 is root's.
func judge(e entry, euid int) error {
	who, perm := "root", e.mode.Perm()
	if euid != 0 {
		who = fmt.Sprintf("uid %d", euid)
	}
	const could = "who could have programs run as"
	switch {
	case e.uid != 0 && e.uid != euid:
		return &UntrustedError{e.path, fmt.Sprintf("belongs to uid %d, %s %s; when you know what is in it run `chown -h %d %s`, or run this program as that user",
			e.uid, could, who, euid, visible.Word(e.path))}
	case e.mode&fs.ModeSymlink != 0, e.mode.IsDir() && e.mode&fs.ModeSticky != 0:
		return nil // a link has no permissions of its own; in a sticky directory each entry is its owner's alone
	case perm&0o002 != 0:
		return &UntrustedError{e.path, fmt.Sprintf("may be written by everybody (mode %04o), %s %s; run `chmod go-w %s`", perm, could, who, visible.Word(e.path))}
	case perm&0o020 != 0 && e.gid != 0 && euid == 0:
		return &UntrustedError{e.path, fmt.Sprintf("may be written by group %d (mode %04o), %s root; run `chmod go-w %s`", e.gid, perm, could, visible.Word(e.path))}
	}
	return nil
}
