package solo

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// refuseBesideAgent keeps a file's programs from running twice: for a fleet, by this machine's agent or the keeper
// that it has left, and here.
func (s *settings) refuseBesideAgent() error {
	dir := s.config.Agent.StateDir
	// Its error says that there is none, or none of ours.
	if agent, err := daemon.Find(daemon.PIDFile(dir, string(config.Agent))); err == nil && s.isOurs(agent.Config) {
		return usagef("distsuperagent (pid %d) runs with %s as a machine of a fleet, and its programs would run twice; "+
			"end it with its processes first (distsuperagent stop --drain)", agent.PID, s.file)
	}
	left := keeper.Dial(keeper.SocketPath(dir))
	defer left.Close()
	ctx, cancel := context.WithTimeout(context.Background(), keeperPatience)
	defer cancel()
	hello, err := left.Hello(ctx)
	if err != nil || !s.isOurs(hello.Config) {
		return nil
	}
	runs, err := left.Changes(ctx, 0)
	if err == nil && !slices.ContainsFunc(runs.Runs, func(r keeper.Run) bool { return !r.Done }) {
		return nil
	}
	return usagef("distsuperagent has left processes of %s running under its keeper (pid %d), and they would run twice; "+
		"start it and end it with them (distsuperagent start, distsuperagent stop --drain), or end them (distsuperagent stop --all)",
		s.file, hello.PID)
}

// keeperPatience is how long a keeper may take to say what it runs.
const keeperPatience = 5 * time.Second

// isOurs reports whether a path, which may be "", leads to our configuration file.
func (s *settings) isOurs(path string) bool {
	theirs, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := os.Stat(s.file)
	return err == nil && os.SameFile(ours, theirs)
}

func randomName() string {
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
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

// removePidfile removes the pid file that this daemon wrote. Whoever has it in /dev/null wants that to stay.
func removePidfile(path string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().IsRegular() && !logs.IsStream(path) {
		os.Remove(path) // somebody else may have done it
	}
}

// account is a user to become.
type account struct {
	uid, gid int
	groups   []int
}

// findAccount finds the user that the settings name; nil is none.
func findAccount(name string) (*account, error) {
	if name == "" {
		return nil, nil
	}
	look, text := user.Lookup, "Invalid user name "+name
	if _, err := strconv.Atoi(name); err == nil {
		look, text = user.LookupId, "Invalid user id "+name
	}
	u, err := look(name)
	if err != nil {
		return nil, usageError{errors.New(text)}
	}
	a := &account{}
	if a.uid, err = strconv.Atoi(u.Uid); err == nil {
		a.gid, err = strconv.Atoi(u.Gid)
	}
	if err != nil {
		return nil, usageError{errors.New(text)}
	}
	a.groups = []int{a.gid}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, usagef("find the groups of %s: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil && n != a.gid {
			a.groups = append(a.groups, n)
		}
	}
	return a, nil
}

// uid is the user as whom the daemon will run.
func (a *account) runsAs() int {
	if a == nil {
		return os.Geteuid()
	}
	return a.uid
}

// become makes this process the user's, all threads of it.
func (a *account) become() error {
	switch {
	case a == nil || os.Getuid() == a.uid:
		return nil
	case os.Getuid() != 0:
		return usageError{errors.New(supervisor.NotRoot)}
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return usageError{errors.New("Could not set groups of effective user")}
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return usageError{errors.New("Could not set group id of effective user")}
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return usagef("Could not set user id %d: %w", a.uid, err)
	}
	return nil
}

// raiseLimits sees to it that processes may have at least so many files open and processes. It returns what it
// raised, for the log. raised is true when the limit of files was: only a program that is begun anew hands that on
// to its children, since Go keeps the limit with which a program began for them.
func raiseLimits(minfds, minprocs int) (told []string, raised bool, err error) {
	soft, hard := openFiles()
	if minfds > 0 && soft < uint64(minfds) {
		// The hard limit stays, or rises to what root may have.
		limit := syscall.Rlimit{Cur: uint64(minfds), Max: max(hard, uint64(minfds))}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return nil, false, usagef("The minimum number of file descriptors required to run this process is %d as per the \"minfds\" "+
				"command-line argument or config file setting. The current environment will only allow you to open %d file descriptors.  "+
				"Either raise the number of usable file descriptors in your environment or lower the minfds setting in the config file "+
				"to allow the process to start.", minfds, hard)
		}
		told, raised = append(told, fmt.Sprintf("Increased RLIMIT_NOFILE limit to %d", minfds)), true
	}
	var procs unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &procs); err != nil || minprocs <= 0 || procs.Cur >= uint64(minprocs) {
		return told, raised, nil
	}
	limit := unix.Rlimit{Cur: uint64(minprocs), Max: max(procs.Max, uint64(minprocs))}
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
		return nil, false, usagef("The minimum number of available processes required to run this program is %d as per the \"minprocs\" "+
			"command-line argument or config file setting. The current environment will only allow you to open %d processes.  "+
			"Either raise the number of usable processes in your environment or lower the minprocs setting in the config file "+
			"to allow the program to start.", minprocs, procs.Max)
	}
	return append(told, fmt.Sprintf("Increased RLIMIT_NPROC limit to %d", minprocs)), raised, nil
}

// openFiles is the limit of open files that processes inherit. Go has raised its own to the hard one, and only
// a child is told the old one.
func openFiles() (soft, hard uint64) {
	var own unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &own) != nil {
		return 1024, 1024
	}
	out, err := exec.Command("/bin/sh", "-c", "ulimit -Sn").Output()
	if err != nil {
		return min(own.Cur, 1024), own.Max // without a shell: the kernel's default
	}
	text := strings.TrimSpace(string(out))
	if text == "unlimited" {
		return own.Max, own.Max
	}
	if soft, err = strconv.ParseUint(text, 10, 64); err != nil {
		return min(own.Cur, 1024), own.Max
	}
	return soft, own.Max
}
