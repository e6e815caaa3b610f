package sim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller"
	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// disk is the state directory of a controller. What is written there stays when it dies.
type disk struct {
	files map[string][]byte
	full  int // by so many nothing can be written
}

// Read implements member.Disk.
func (d *disk) Read(path string) ([]byte, error) {
	if text, found := d.files[path]; found {
		return text, nil
	}
	return nil, fs.ErrNotExist
}

var errDisk = errors.New("no space left on device")

// Write implements member.Disk.
func (d *disk) Write(path string, text []byte) error {
	if d.full > 0 {
		return errDisk
	}
	d.files[path] = text
	return nil
}

// Wipe takes the state directory of a controller away: its next life knows nothing of what it has promised.
func (c *Controller) Wipe() {
	c.w.tell(c.ID, "the state directory is wiped")
	c.wipes++
	c.disk.files, c.directory = map[string][]byte{}, fmt.Sprintf("dir-%s-%d", c.ID, c.wipes)
}

// register begins the registration of this life.
func (c *Controller) register(log *zap.Logger) {
	incarnations := 0
	c.member = member.New(member.Options{KV: c.kv.believed, Keys: c.w.Keys, Self: api.Controller{ID: c.ID, Host: c.host.Name, Fingerprint: "f-" + c.ID},
		Host: c.host.identity(c.directory), File: "promises", Disk: &c.disk, Clock: c.host, Log: log,
		Incarnation: func() string {
			incarnations++
			return fmt.Sprintf("%s-%d-%d-%d", c.directory, c.host.boots, c.life, incarnations)
		}})
	c.registering, c.looking, c.unseen, c.stood = c.member.Registering(), false, false, member.Standing{}
	c.registered = func() {}
	c.core.Register(c.member.Forbids)
	c.look = c.newTimer(c.lookAtRegistrations)
	if c.belief.memory.Err() != nil {
		return
	}
	follow(c.kv, store.Below(c.w.Keys.Controllers()), handler{
		reset:  func(int64, []store.Entry) { c.lookAtRegistrations() },
		apply:  func(int64, []store.Change) { c.lookAtRegistrations() },
		failed: c.ends,
	})
}

// lookAgain is the pause after a look that failed.
const lookAgain = time.Second

// lookAtRegistrations has the member look, and once more if something changed meanwhile.
func (c *Controller) lookAtRegistrations() {
	if c.looking {
		c.unseen = true
		return
	}
	c.looking, c.unseen = true, false
	c.run(func(ctx context.Context) {
		next, err := c.registering.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		c.looking = false
		if now, _ := c.member.Standing(); now != c.stood {
			c.stood = now
			c.w.After(0, c.inLife(c.registered))
			c.step(controller.Registered{Entry: now.Entry, Incarnation: now.Incarnation, Why: now.Why})
		}
		switch {
		case errors.Is(err, member.ErrChanged), c.unseen:
			c.w.After(0, c.inLife(c.lookAtRegistrations))
		case err != nil:
			c.look.set(c.host.Now().Add(lookAgain))
		default:
			c.look.set(next)
		}
	})
}

// controllers reads which controllers there are.
func (a *Agent) controllers(ctx context.Context) (promise.Set, error) {
	r, err := trust.ReadRegistered(ctx, a.kv.believed, a.w.Keys)
	if err != nil {
		return promise.Set{}, err
	}
	return r.Set(a.w.Keys), nil
}

var errNoPromise = errors.New("the controller did not answer")

// ask asks a controller for a promise, over a connection of its own.
func (a *Agent) ask(_ context.Context, to promise.Controller, ask promise.Ask) (answer promise.Answer, err error) {
	err = errNoPromise
	var d *Controller
	for _, c := range a.w.Controllers {
		if c.ID == to.ID && c.host.Name == to.Host {
			d = c
		}
	}
	if d == nil {
		a.w.sleep(time.Second)
		return answer, err
	}
	a.w.await(func(done func()) {
		back := a.gate()
		a.w.Net.send(a.host, d.host, func() {
			d.gate()(func() {
				got, failed := d.member.Answer("f-"+a.m.Name, ask)
				a.w.Net.send(d.host, a.host, func() { back(func() { answer, err = got, failed; done() }) })
			})
		})
		a.after(promise.AskEvery, done)
	})
	return answer, err
}
