package sim

import (
	"context"
	"iter"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
)

// node is a process of a host: it lives, may stand still, dies, and may begin again.
type node struct {
	w    *World
	host *Host
	name string

	up      bool
	life    int // counts its starts
	frozen  int // by so many it was told to stand still
	backlog []func()
	tasks   []*task
	untold  time.Duration // until when it may do something that history does not tell
	writes  hold          // of its writes to etcd
	written int           // counts its writes that reached etcd
	ctx     context.Context
	cancel  context.CancelFunc
}

// begin starts a life.
func (n *node) begin() {
	n.life++
	n.up, n.frozen, n.backlog = true, 0, nil
	n.ctx, n.cancel = context.WithCancel(context.Background())
}

// end ends a life: nothing of it happens any more. It must not be called by what the node itself does; see exit.
func (n *node) end() {
	if !n.up {
		return
	}
	n.up, n.backlog = false, nil
	n.cancel()
	tasks := n.tasks
	n.tasks = nil
	before := n.w.task
	for _, t := range tasks {
		t.dead, n.w.task = true, t
		t.stop()
	}
	n.w.task = before
}

// exit has the node end as soon as what it does now is done, and then something be done.
func (n *node) exit(then func()) {
	life := n.life
	n.w.After(0, func() {
		if n.up && n.life == life {
			then()
		}
	})
}

// freeze has the node stand still; thaw lets it go on, unless another freeze is not over.
func (n *node) freeze() { n.frozen++ }

func (n *node) thaw() {
	if n.frozen--; n.frozen > 0 {
		return
	}
	for len(n.backlog) > 0 && n.frozen == 0 && n.up {
		do := n.backlog[0]
		n.backlog = n.backlog[1:]
		do()
	}
}

// gate lets in what is for the present life of the node, when the node can take it.
func (n *node) gate() func(do func()) {
	life := n.life
	return func(do func()) {
		switch {
		case !n.up || n.life != life:
		case n.frozen > 0:
			n.backlog = append(n.backlog, do)
		default:
			do()
		}
	}
}

// inLife is something that happens to the present life of the node, when it can.
func (n *node) inLife(do func()) func() {
	pass := n.gate()
	return func() { pass(do) }
}

// after has something happen in this life, d later by the node's own clock.
func (n *node) after(d time.Duration, do func()) {
	n.w.At(n.host.when(n.host.Now().Add(d)), n.inLife(do))
}

// timer fires once, at an instant of its host.
type timer struct {
	n     *node
	do    func()
	at    clock.Instant
	armed int
}

func (n *node) newTimer(do func()) *timer { return &timer{n: n, do: do, at: clock.Never} }

// set arms it for an instant, clock.Never for none.
func (t *timer) set(at clock.Instant) {
	if at == t.at {
		return
	}
	t.at = at
	t.armed++
	if at == clock.Never {
		return
	}
	armed := t.armed
	t.n.w.At(t.n.host.when(at), t.n.inLife(func() {
		if t.armed == armed {
			t.at = clock.Never
			t.do()
		}
	}))
}

// task is code of a node that waits for answers. It runs until it waits, and goes on where it stood.
type task struct {
	n     *node
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	dead  bool // its node's life is over: nothing that it does counts any more
}

// run runs a task in this life of the node.
func (n *node) run(f func(ctx context.Context)) {
	t := &task{n: n}
	ctx := n.ctx
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		t.yield = yield
		f(ctx)
	})
	n.tasks = append(n.tasks, t)
	t.resume()
}

func (t *task) resume() {
	before := t.n.w.task
	t.n.w.task = t
	_, waits := t.next()
	t.n.w.task = before
	if waits {
		return
	}
	for i, o := range t.n.tasks {
		if o == t {
			last := len(t.n.tasks) - 1
			t.n.tasks[i], t.n.tasks[last] = t.n.tasks[last], nil
			t.n.tasks = t.n.tasks[:last]
			return
		}
	}
}

// await has the running task wait until done is called, which must be later. It is false when the task's life is over.
func (w *World) await(arm func(done func())) bool {
	t := w.task
	if t == nil {
		panic("sim: only a task can wait")
	}
	if t.dead {
		return false
	}
	called := false
	arm(func() {
		if !called && !t.dead {
			called = true
			t.resume()
		}
	})
	if !t.yield(struct{}{}) {
		t.dead = true
	}
	return !t.dead
}

// sleep has the running task wait, by its node's clock.
func (w *World) sleep(d time.Duration) bool {
	n := w.task.n
	return w.await(func(done func()) { n.after(d, done) })
}

// until has the running task wait for a condition, which it looks at every now and then.
func (w *World) until(every time.Duration, cond func() bool) bool {
	for !cond() {
		if !w.sleep(every) {
			return false
		}
	}
	return true
}
