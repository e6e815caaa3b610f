package guardian

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Handed is what a keeper that is replaced in place hands on of its guardian, which goes on watching it meanwhile. The
// descriptors stay open.
type Handed struct {
	PID    int    `json:"pid"` // 0 while there is none
	PageFD int    `json:"page_fd"`
	WakeFD int    `json:"wake_fd"`
	SelfFD int    `json:"self_fd"`
	Config Config `json:"config"`
}

// HandOver describes the guard for Resume in the next binary of this process.
func (g *Guard) HandOver() Handed {
	return Handed{PID: g.pid, PageFD: g.page.fd, WakeFD: g.wakeFD, SelfFD: g.self, Config: g.config}
}

// Descriptors are those that are to stay open.
func (h Handed) Descriptors() []int { return []int{h.PageFD, h.WakeFD, h.SelfFD} }

// Resume goes on with the guardian of the binary before, which watches the same page. nest is the cgroup for those to come, -1 for none.
func Resume(command []string, h Handed, nest int) (*Guard, error) {
	p, err := mapPage(h.PageFD)
	if err != nil {
		return nil, err
	}
	g := &Guard{command: command, config: h.Config, page: p, wakeFD: h.WakeFD, self: h.SelfFD, nest: nest, pidfd: -1}
	if g.null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("open the guardian's standard input: %w", err)
	}
	if h.PID != 0 { // it is not reaped, so the number is its own
		if g.pidfd, err = unix.PidfdOpen(h.PID, 0); err != nil {
			return nil, fmt.Errorf("watch the guardian: %w", err)
		}
		g.pid = h.PID
	}
	return g, nil
}

// StartNext starts a guardian of the present binary beside the one before. Something is to be read from ready once it watches, or has ended:
// then Settle decides between the two.
func (g *Guard) StartNext() (ready int, err error) {
	g.next, err = g.spawn()
	return g.next.ready, err
}

// Settle ends the guardian before, when the next one watches; else that goes on and the error says so. Both pidfds are watched by nobody,
// and ready is closed.
func (g *Guard) Settle() error {
	n := g.next
	g.next = process{}
	err := n.awaitReady()
	unix.Close(n.ready)
	if err != nil {
		unix.Close(n.pidfd)
		return err
	}
	if g.pid != 0 {
		sendKill(g.pidfd)
		unix.Wait4(g.pid, nil, 0, nil)
		unix.Close(g.pidfd)
	}
	g.pid, g.pidfd = n.pid, n.pidfd
	return nil
}
