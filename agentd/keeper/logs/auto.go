package logs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
)

// longestName leaves room for "-stdout.log.12345" in a file name of 255 bytes.
const longestName = 230

// Auto says where AUTO logs are. With a Seed they have supervisor's names, NAME-stdout---IDENTIFIER-RANDOM.log without the
// group of the process, so that several daemons may share a directory; RANDOM comes of the seed.
type Auto struct {
	Dir, Identifier, Seed string
	Room                  Room
}

// Path is the file of one channel. Different processes never share one: characters that a file name cannot or should not
// have are escaped, and a name that is too long is cut and marked by its hash.
func (a Auto) Path(process, channel string) string {
	name, mark := process, ""
	if a.Seed != "" {
		sum := sha256.Sum256([]byte(strings.Join([]string{a.Seed, process, channel}, "\x00")))
		name, mark = api.ProcessName(process), a.mark()+hex.EncodeToString(sum[:4])
	}
	return filepath.Join(a.Dir, escape(name, longestName-len(mark))+"-"+channel+mark+".log")
}

// mark is what the names of a daemon's AUTO logs have in common.
func (a Auto) mark() string { return "---" + a.Identifier + "-" }

// has reports whether a file is an AUTO log.
func (a Auto) has(path string) bool {
	return filepath.Dir(path) == a.Dir && strings.HasSuffix(path, ".log") && (a.Seed == "" || strings.Contains(filepath.Base(path), a.mark()))
}

// open opens a log file, and makes it where it is not there. The directory of AUTO logs is made, too.
func (a Auto) open(path string, mode int) (int, error) {
	fd, err := a.openOnce(path, mode)
	if err == unix.ENOENT && a.has(path) && os.MkdirAll(a.Dir, 0o700) == nil {
		fd, err = a.openOnce(path, mode)
	}
	return fd, err
}

func (a Auto) openOnce(path string, mode int) (int, error) {
	mode |= unix.O_APPEND | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	if !IsStream(path) { // a stream that is not there is not made
		mode |= unix.O_CREAT
	}
	perm := uint32(0o666) // but for the umask, as supervisor's: others may read what was put in a place of the user's
	if a.has(path) {
		perm = 0o600
	}
	for {
		fd, err := unix.Open(path, mode, perm)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func escape(name string, longest int) string {
	var b strings.Builder
	for i := range len(name) {
		switch ch := name[i]; {
		case ch <= ' ', ch == 0x7f, strings.IndexByte(`/%~*?[]\"'$&;|<>(){}!`+"`", ch) >= 0:
			fmt.Fprintf(&b, "%%%02X", ch)
		default:
			b.WriteByte(ch)
		}
	}
	longest = max(longest, 2*sha256.Size)
	if b.Len() <= longest {
		return b.String()
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(b.String()[:longest-33], "") + "~" + hex.EncodeToString(sum[:16])
}

// Remove deletes the AUTO logs of a process with their older files, and forgets where it logs. Call it when
// the process is gone for good.
func (c *Collector) Remove(ctx context.Context, process string) error {
	return c.do(ctx, func() error {
		var errs []error
		for _, channel := range []string{"stdout", "stderr"} {
			path := c.auto.Path(process, channel)
			if t := c.targets[path]; t != nil {
				t.discard()
			}
			if c.targets[path] == nil {
				delete(c.chains, path)
			}
			errs = append(errs, removeFiles(path))
			c.mu.Lock()
			delete(c.paths, channelKey{process, channel})
			c.mu.Unlock()
		}
		return errors.Join(errs...)
	})
}

// removeFiles removes a file and its older ones. Their numbers have no gaps of our making; one of a few numbers that
// somebody else made does not stop it.
func removeFiles(path string) error {
	const gap = 16
	for i, missing := 0, 0; missing <= gap; i++ {
		switch err := os.Remove(backup(path, i)); {
		case err == nil:
			missing = 0
		case errors.Is(err, os.ErrNotExist):
			missing++
		default:
			return fmt.Errorf("remove log: %w", err)
		}
	}
	return nil
}
