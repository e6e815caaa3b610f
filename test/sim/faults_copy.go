package sim

import (
	"fmt"
	"maps"
	"time"
)

// copyKinds are copies of what is there once.
var copyKinds = []kind{
	lasting("controller's state directory is copied to another host", 20*time.Second, func(w *World, f Fault) func() {
		twin := w.twin(w.controller(f.A))
		twin.Start()
		return twin.leave
	}),
	lasting("controller dies and its state directory lives on elsewhere", 20*time.Second, func(w *World, f Fault) func() {
		c := w.controller(f.A)
		twin := w.twin(c)
		c.Crash()
		twin.Start()
		return func() {
			if f.B%2 == 0 {
				twin.leave()
			}
			c.Start()
			w.After(time.Second, twin.leave)
		}
	}),
}

// twin is a controller on a host of its own, with the name and a copy of the state directory of another.
func (w *World) twin(c *Controller) *Controller {
	w.twins++
	t := &Controller{ID: c.ID, directory: fmt.Sprintf("%s-copy-%d", c.directory, w.twins), disk: disk{files: maps.Clone(c.disk.files)},
		node: node{w: w, host: w.newHost(fmt.Sprintf("%s-copy-%d", c.ID, w.twins)), name: c.ID}}
	w.Controllers = append(w.Controllers, t)
	return t
}

// leave takes a twin away for ever.
func (c *Controller) leave() {
	c.Crash()
	c.gone = true
}
