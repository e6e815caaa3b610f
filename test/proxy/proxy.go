// Package proxy is a TCP proxy for tests that can lose a connection's traffic without closing it, as a
// network does and a killed process does not.
package proxy

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// mode says what happens to traffic.
type mode int

const (
	pass        mode = iota
	cut              // both directions stall; what was sent arrives after Heal
	loseAnswers      // requests arrive, answers are thrown away
)

// Proxy forwards connections to one target.
type Proxy struct {
	ln              net.Listener
	network, target string
	wg              sync.WaitGroup

	mu      sync.Mutex
	mode    mode
	delay   time.Duration // of everything, in either direction
	request func()        // called once, when the next request passes; nil for nothing
	changed chan struct{} // closed and replaced when mode changes
	conns   map[*link]struct{}
	closed  bool
}

// link is a pair of connections.
type link struct {
	client, server net.Conn
	// lossy is set once an answer was thrown away: the rest of the stream makes no sense then.
	lossy bool
}

// New listens on a loopback port of its own until the test ends. network and target are what net.Dial takes.
func New(t testing.TB, network, target string) *Proxy {
	t.Helper()
	p, err := Listen("127.0.0.1:0", network, target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Listen is New without a test: at an address, until Close.
func Listen(address, network, target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &Proxy{ln: ln, network: network, target: target,
		changed: make(chan struct{}), conns: map[*link]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is the host:port to connect to.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Cut makes the proxy silent in both directions. Connections stay open, new ones are accepted and hang.
func (p *Proxy) Cut() { p.set(cut) }

// Delay holds everything back for a time in each direction, from now on; 0 for nothing.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// LoseAnswers lets requests through and throws answers away.
func (p *Proxy) LoseAnswers() { p.set(loseAnswers) }

// LoseNextAnswer throws away what answers the next request, and hold later, when the request has been done, breaks
// every connection, so that the client learns that it gets no answer. Then the proxy is healed.
func (p *Proxy) LoseNextAnswer(hold time.Duration) {
	p.LoseAnswers()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.request = func() {
		time.AfterFunc(hold, func() {
			p.Break()
			p.Heal()
		})
	}
}

// Heal forwards again, what was held first. Connections that lost an answer are closed.
func (p *Proxy) Heal() { p.set(pass) }

// Break closes every connection; new ones are served.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.conns {
		l.close()
	}
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.changed)
		_ = p.ln.Close()
	}
	for l := range p.conns {
		l.close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.conns {
		if l.lossy {
			l.close()
		}
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial(p.network, p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		l.close()
		return
	}
	p.conns[l] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(l, client, server, false) })
	both.Go(func() { p.pump(l, server, client, true) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, l)
	p.mu.Unlock()
}

// pump forwards one direction.
func (p *Proxy) pump(l *link, from io.Reader, to io.Writer, answers bool) {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			send, open := p.await(l, answers)
			if !open {
				return
			}
			if send {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			// The end of a connection is held back by a cut, too.
			p.await(l, answers)
			return
		}
	}
}

// await waits until data may pass; send is false when it is to be thrown away, open when the proxy ended.
func (p *Proxy) await(l *link, answers bool) (send, open bool) {
	for {
		p.mu.Lock()
		m, changed, closed, delay := p.mode, p.changed, p.closed, p.delay
		if m == loseAnswers && answers {
			l.lossy = true
		}
		if !answers && p.request != nil && m != cut {
			p.request()
			p.request = nil
		}
		p.mu.Unlock()
		switch {
		case closed:
			return false, false
		case m == cut:
			<-changed
		default:
			if delay > 0 {
				time.Sleep(delay) // what a slow network is
			}
			return m == pass || !answers, true
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}
