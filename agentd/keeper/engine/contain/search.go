package contain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/procfs"
)

// The initial namespaces have these numbers in every kernel (include/linux/proc_ns.h). From another one not all processes, or cgroups,
// are seen.
const (
	initialPIDs    = "pid:[4026531836]"
	initialCgroups = "cgroup:[4026531835]"
)

// Search looks through the whole host for a keeper of an instance, and for what it started in cgroups. No error proves that nothing of
// it is alive, or will be again; whatever cannot be seen is an error. It kills nothing.
//
// In this order: a keeper that lives could start something between two looks, so none may be left. Then nothing new comes but from
// what it left, and two looks in a row find that, as they do where it is killed (Suspects).
func Search(ctx context.Context, instance string) error {
	if err := seesAll(); err != nil {
		return err
	}
	if err := noKeeper(ctx, instance); err != nil {
		return err
	}
	for range 2 {
		if err := errors.Join(noneMarked(instance), noneCaged(instance)); err != nil {
			return err
		}
	}
	return nil
}

// seesAll says why this process does not see the whole host.
func seesAll() error {
	if os.Geteuid() != 0 {
		return errors.New("only root may look into all processes")
	}
	for name, want := range map[string]string{"pid": initialPIDs, "cgroup": initialCgroups} {
		if got, err := os.Readlink("/proc/self/ns/" + name); err != nil {
			return err
		} else if got != want {
			return fmt.Errorf("this agent runs in a container: its namespace is %s, and that of the host is %s", got, want)
		}
	}
	self, err := os.Readlink("/proc/self")
	if err == nil && self != strconv.Itoa(os.Getpid()) {
		err = fmt.Errorf("/proc belongs to another pid namespace: it calls this process %s", self)
	}
	return err
}

// noKeeper is nil when every keeper of this host has said that it is another one.
func noKeeper(ctx context.Context, instance string) error {
	for _, p := range procfs.All() {
		args, err := commandLine(p.PID)
		if err != nil {
			return err
		}
		if len(args) < 2 || args[1] != keeper.Command {
			continue
		}
		for _, arg := range args[2:] {
			dir, found := strings.CutPrefix(arg, keeper.StateDirFlag)
			if !found {
				continue
			}
			switch said, err := askKeeper(ctx, p.PID, dir); {
			case gone(p):
			case err != nil:
				return fmt.Errorf("the keeper with the pid %d does not say which one it is: %w", p.PID, err)
			case said == instance:
				return fmt.Errorf("that keeper is alive: its pid is %d", p.PID)
			}
		}
	}
	return nil
}

// askTime is how long a keeper may take to say who it is.
const askTime = 5 * time.Second

// askKeeper asks a process, which is said to be the keeper of a directory, who it is.
func askKeeper(ctx context.Context, pid int, dir string) (instance string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	process := "/proc/" + strconv.Itoa(pid)
	theirs, err := os.Readlink(process + "/ns/mnt")
	if err != nil {
		return "", err
	}
	ours, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return "", err
	}
	switch {
	case !filepath.IsAbs(dir):
		dir = filepath.Join(process, "cwd", dir)
	case ours != theirs: // in a container
		dir = filepath.Join(process, "root", dir)
	}
	c := keeper.Dial(keeper.SocketPath(dir))
	defer c.Close()
	hello, err := c.Hello(ctx)
	if err == nil && ours == theirs && hello.PID != pid {
		err = fmt.Errorf("the keeper of %s is another process, %d", dir, hello.PID)
	}
	return hello.Instance, err
}

// noneMarked is nil when no process carries the mark of a keeper in its environment.
func noneMarked(instance string) error {
	mark := []byte(envKeeper + "=" + instance)
	for _, p := range procfs.All() {
		if p.PID == 1 { // not even root may look into every init, and no keeper has started it
			continue
		}
		data, err := procfs.Environ(p.PID)
		if err != nil && !gone(p) {
			return fmt.Errorf("look at the process %d: %w", p.PID, err)
		}
		if slices.ContainsFunc(bytes.Split(data, []byte{0}), func(v []byte) bool { return bytes.Equal(v, mark) }) {
			return fmt.Errorf("the process %d, which it started, is alive", p.PID)
		}
	}
	return nil
}

// noneCaged is nil when no cgroup of a keeper has anything in it, wherever on the host it is.
func noneCaged(instance string) error {
	mount, root, err := cgroupMount()
	if err != nil {
		return err
	}
	if root != "/" {
		return fmt.Errorf("only a part of the cgroups is seen at %s", mount)
	}
	return filepath.WalkDir(mount, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !e.IsDir() || e.Name() != cgroupPrefix+instance {
			return err
		}
		events, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case !strings.Contains(string(events), "populated 0"):
			return fmt.Errorf("something is alive in its cgroup %s", path)
		}
		return filepath.SkipDir
	})
}

// commandLine is a process's command and its arguments; nothing for one that has ended meanwhile.
func commandLine(pid int) ([]string, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		if _, lives := procfs.Read(pid); !lives {
			return nil, nil
		}
		return nil, fmt.Errorf("look at the process %d: %w", pid, err)
	}
	return strings.Split(strings.TrimRight(string(data), "\x00"), "\x00"), nil
}

// gone reports whether a process has ended.
func gone(p procfs.Stat) bool {
	now, ok := procfs.Read(p.PID)
	return !ok || now.Dead() || now.Start != p.Start
}
