package sim

import (
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/core"
)

// Program is how the copies of a process behave. The zero value runs until it is told to end, and then ends within a moment.
type Program struct {
	StopTakes   time.Duration // from the stop signal to its end
	IgnoresTerm bool
	Runs        time.Duration // it exits by itself after that; 0 is never
	Status      int           // with which it exits
	Children    int           // that outlive the main process
	CannotSpawn bool          // no copy can be started
}

// copyOf is a living copy: a main process, and what it has started.
type copyOf struct {
	k        *Keeper // that started it; it may be gone
	ref      keeper.Ref
	instance string
	pid      int // of the main process, 0 when that is gone
	children int
	program  Program
}

func (c *copyOf) alive() bool { return c.pid != 0 || c.children > 0 }

// exit ends the main process. The keeper hears of it in its next turn.
func (c *copyOf) exit(status int, signal string) {
	if c.pid == 0 {
		return
	}
	pid := c.pid
	c.pid = 0
	k := c.k
	k.w.tell(k.m.Name, "%s's process %d (token %d) ends %d%s", c.ref.ID, pid, c.ref.Token, status, signal)
	if k.up && k.instance == c.instance {
		k.exits = append(k.exits, core.Exited{Ref: c.ref, PID: pid, Status: status, Signal: signal, At: k.host.Wall()})
		k.soon()
	}
	c.over()
}

// kill ends the main process and its children.
func (c *copyOf) kill() {
	c.children = 0
	if c.pid != 0 {
		c.exit(-1, "SIGKILL")
		return
	}
	c.over()
}

// over has the world know that nothing of it is alive.
func (c *copyOf) over() {
	if !c.alive() {
		c.k.w.check.ended(c)
		c.k.m.gone(c)
	}
}
