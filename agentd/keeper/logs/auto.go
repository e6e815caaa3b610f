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
)

// longestName leaves room for "-stdout.log.12345" in a file name of 255 bytes.
const longestName = 230

// Auto says where AUTO logs are. Suffix stands in their names before ".log"; with one several daemons share a
// directory.
type Auto struct{ Dir, Suffix string }

// Path is the file of one channel. Different processes never share one: characters that a file name cannot or should not
// have are escaped, and a name that is too long is cut and marked by its hash.
func (a Auto) Path(process, channel string) string {
	return filepath.Join(a.Dir, escape(process)+"-"+channel+a.Suffix+".log")
}

// isAuto reports whether a file is an AUTO log.
func (c *Collector) isAuto(path string) bool {
	return filepath.Dir(path) == c.dir && strings.HasSuffix(path, c.suffix+".log")
}

func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch ch := name[i]; {
		case ch <= ' ', ch == 0x7f, strings.IndexByte(`/%~*?[]\"'$&;|<>(){}!`+"`", ch) >= 0:
			fmt.Fprintf(&b, "%%%02X", ch)
		default:
			b.WriteByte(ch)
		}
	}
	if b.Len() <= longestName {
		return b.String()
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(b.String()[:longestName-33], "") + "~" + hex.EncodeToString(sum[:16])
}

// Remove deletes the AUTO logs of a process with their older files, and forgets where it logs. Call it when
// the process is gone for good.
func (c *Collector) Remove(ctx context.Context, process string) error {
	return c.do(ctx, func() error {
		var errs []error
		for _, channel := range []string{"stdout", "stderr"} {
			path := Auto{c.dir, c.suffix}.Path(process, channel)
			if t := c.targets[path]; t != nil {
				t.discard()
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
