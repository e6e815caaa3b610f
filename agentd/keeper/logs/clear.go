package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// Reopen opens every file anew by its name, after somebody renamed it. One that cannot be opened now is tried again
// when there is output for it.
func (c *Collector) Reopen(ctx context.Context) error {
	return c.do(ctx, func() error {
		for _, t := range c.targets {
			if t.fd >= 0 {
				t.renew()
			}
			t.retryNow()
		}
		return nil
	})
}

// Clear removes the files of a process and makes them anew, empty; those that rotation has made stay. The files are
// those that it was last attached to, else its AUTO logs, and paths besides. What was printed before the call is
// gone, what is printed after its return is kept. A stream of the system's, a fifo and a file that is not there are
// left as they are; a process whose output goes nowhere has nothing to clear, which is no error. Where nothing is known
// of a process, it is fs.ErrNotExist.
func (c *Collector) Clear(ctx context.Context, process string, paths ...string) error {
	paths, known := c.filesOf(process, paths)
	if !known {
		return fmt.Errorf("clear the logs of %s: no log file: %w", process, fs.ErrNotExist)
	}
	return c.do(ctx, func() error {
		var errs []error
		for _, path := range paths {
			errs = append(errs, c.clear(path))
		}
		return errors.Join(errs...)
	})
}

// filesOf adds the files of a process to paths, sorted, and reports whether anything is known of the process.
func (c *Collector) filesOf(process string, paths []string) (all []string, known bool) {
	known = len(paths) > 0
	for _, path := range paths {
		all = append(all, cleanPath(path))
	}
	for _, channel := range []string{"stdout", "stderr"} {
		path, attached := c.Path(process, channel)
		if !attached {
			path = c.auto.Path(process, channel)
			attached = exists(path)
		}
		if attached {
			all, known = append(all, path), true
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(path string) bool { return path == "" }), known
}

// clear runs on the log thread. Output in pending was not in the file yet; it goes into the new one.
func (c *Collector) clear(path string) error {
	if IsStream(path) {
		return nil
	}
	t := c.targets[path]
	if t == nil {
		t = &target{c: c, path: path, chain: c.chain(path), fd: -1}
	}
	for _, p := range slices.Clone(t.pipes) { // a pipe leaves at its end
		c.drain(p)
		c.flush(p)
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("clear log: %w", err)
	}
	t.renew()
	t.retryNow()
	t.release()
	return nil
}

// renew opens the file by its name. A failure shows when there is output for it.
func (t *target) renew() {
	t.close()
	if _, err := t.ready(); err != nil {
		t.close()
	}
}

// retryNow has a file that failed tried at once: there may be space now.
func (t *target) retryNow() {
	if t.stuck {
		t.retryAt = t.c.now()
	}
}
