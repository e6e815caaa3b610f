package logs

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// heldAfter is a Collector's heldAfter: how long not a byte of the output for a file must have been written before that is told: a disk or a reader
// that is slow for a moment is nobody's business.
const heldAfter = 2 * time.Second

// Held says why the output of a process is not written by now, and since when. It is zero while it is written.
type Held struct {
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
}

// OnHeld has tell called whenever the output of a process begins to be held up, and when it is written again. It is called by
// the log thread, and may not wait. Call it before the first Attach.
func (c *Collector) OnHeld(tell func(process string, h Held)) {
	_ = c.post(func() { c.onHeld = tell }) // after Close there is nothing to tell
}

// hold notes that nothing could be written for the error, and tells it when that has lasted.
func (t *target) hold(err error, progress bool) {
	now := t.c.now()
	if progress || t.heldFrom == 0 {
		t.heldFrom, t.heldSince = now, time.Now().Round(0)
	}
	if t.held.Why != "" || now.Sub(t.heldFrom) < t.c.heldAfter {
		return
	}
	t.held = Held{Why: t.reason(err), Since: t.heldSince}
	if errors.Is(err, unix.EAGAIN) { // of anything else the log tells at once
		t.report(fmt.Sprintf("log file %s; output waits in the process's pipe until it can be written", t.held.Why))
	}
	t.tellHeld()
}

// reason names the file and what is wrong with it.
func (t *target) reason(err error) string {
	switch {
	case errors.Is(err, unix.EAGAIN):
		return t.path + ": its reader does not read"
	case errors.Is(err, unix.ENOENT) && !exists(filepath.Dir(t.path)):
		return fmt.Sprintf("%s: the directory %s does not exist", t.path, filepath.Dir(t.path))
	}
	return fmt.Sprintf("%s: %v", t.path, err)
}

// unhold tells that everything is written.
func (t *target) unhold() {
	told := t.held.Why != ""
	t.heldFrom, t.held = 0, Held{}
	if told {
		t.tellHeld()
	}
}

func (t *target) tellHeld() {
	for _, p := range t.pipes {
		t.c.tellHeld(p.sink.Process)
	}
}

// tellHeld tells how it is with the output of a process, where that is not what was told last.
func (c *Collector) tellHeld(process string) {
	var now Held
	for _, channel := range []string{"stderr", "stdout"} {
		for _, p := range c.channels[channelKey{process, channel}] {
			if p.target != nil && p.target.held.Why != "" {
				now = p.target.held
			}
		}
	}
	if now == c.toldHeld[process] || c.onHeld == nil {
		return
	}
	if now.Why == "" {
		delete(c.toldHeld, process)
	} else {
		c.toldHeld[process] = now
	}
	c.onHeld(process, now)
}
