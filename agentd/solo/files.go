package solo

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/statedir"
)

// autoLogs says where AUTO logs are: files of this daemon alone, which the next one of this identifier removes.
func autoLogs(s *Settings) logs.Auto {
	return logs.Auto{Dir: s.Childlogdir, Identifier: s.Identifier, Seed: randomName()}
}

// removeAutoLogs removes the AUTO logs of earlier daemons of this identifier that are ours.
func removeAutoLogs(dir, identifier string) error {
	pattern := regexp.MustCompile(`.---` + regexp.QuoteMeta(identifier) + `-\S+\.log(\.\d+)?$`)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !pattern.MatchString(e.Name()) || info.Sys().(*syscall.Stat_t).Uid != uint32(os.Geteuid()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func randomName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// writePid writes the daemon's pid into a file. On a full disk none stays: an empty one would tell of a daemon without a pid.
func writePid(path string) error {
	err := os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644)
	if info, e := os.Stat(path); statedir.Full(err) && e == nil && info.Mode().IsRegular() {
		os.Remove(path)
	}
	return err
}

// removePidfile removes the pid file that this daemon wrote, unless another one has written it since. Whoever has it in /dev/null
// wants that to stay.
func removePidfile(path string) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || logs.IsStream(path) {
		return
	}
	if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == strconv.Itoa(os.Getpid()) {
		os.Remove(path) // somebody else may have done it
	}
}
