package sim

import "time"

// link is one direction between two hosts.
type link struct {
	cut  int // by so many
	held []func()
	slow time.Duration // added to each message, at most
	late time.Duration // added to each message
	loss int           // of a hundred messages, so many are lost; what a connection carries comes later instead
}

// network has a link from each host to each.
type network struct {
	w     *World
	links map[[2]int]*link
}

func (n *network) link(from, to *Host) *link {
	key := [2]int{from.index, to.index}
	l := n.links[key]
	if l == nil {
		l = &link{}
		n.links[key] = l
	}
	return l
}

// resend is about how long a lost packet of a connection holds it up.
const resend = 200 * time.Millisecond

// send carries a message. While the link is cut it waits, and arrives after that or never.
func (n *network) send(from, to *Host, do func()) {
	l := n.link(from, to)
	if l.cut > 0 {
		l.held = append(l.held, do)
		return
	}
	n.w.After(n.delay(l), do)
}

// delay is how long one message takes.
func (n *network) delay(l *link) time.Duration {
	d := l.late + 50*time.Microsecond + time.Duration(n.w.rnd.Int64N(int64(time.Millisecond)))
	if l.slow > 0 {
		d += time.Duration(n.w.rnd.Int64N(int64(l.slow)))
	}
	for l.loss > 0 && n.w.rnd.IntN(100) < l.loss {
		d += resend + time.Duration(n.w.rnd.Int64N(int64(2*resend)))
	}
	return d
}

// cut takes one direction away.
func (n *network) cut(from, to *Host) { n.link(from, to).cut++ }

// mend gives it back. Of what waited each message arrives or is lost.
func (n *network) mend(from, to *Host) {
	l := n.link(from, to)
	if l.cut--; l.cut > 0 {
		return
	}
	held := l.held
	l.held = nil
	for _, do := range held {
		if n.w.chance(2) {
			n.w.After(n.delay(l)+time.Duration(n.w.rnd.Int64N(int64(resend))), do)
		}
	}
}

// stream is an ordered connection: what is sent on it arrives in its order, or the stream is over.
type stream struct {
	n        *network
	from, to *Host
	last     time.Duration // arrival of the message before
	late     time.Duration // added to each message, at most
	broken   bool
	stuck    int // by so many nothing gets through, whatever the link does
	waiting  []func()
}

func (n *network) stream(from, to *Host) *stream { return &stream{n: n, from: from, to: to} }

func (s *stream) send(do func()) {
	if s.broken {
		return
	}
	l := s.n.link(s.from, s.to)
	if l.cut+s.stuck > 0 {
		s.waiting = append(s.waiting, do)
		if len(s.waiting) == 1 {
			s.n.w.After(resend, s.flush)
		}
		return
	}
	if len(s.waiting) > 0 {
		s.waiting = append(s.waiting, do)
		return
	}
	d := s.n.delay(l)
	if s.late > 0 {
		d += time.Duration(s.n.w.rnd.Int64N(int64(s.late)))
	}
	s.last = max(s.last+1, s.n.w.now+d)
	s.n.w.At(s.last, func() {
		if !s.broken {
			do()
		}
	})
}

// flush sends what waited for a cut to end.
func (s *stream) flush() {
	if s.broken {
		return
	}
	if s.n.link(s.from, s.to).cut+s.stuck > 0 {
		s.n.w.After(resend, s.flush)
		return
	}
	waiting := s.waiting
	s.waiting = nil
	for _, do := range waiting {
		s.send(do)
	}
}
