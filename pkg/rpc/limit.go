package rpc

import (
	"net"
	"sync"

	"go.uber.org/zap"
)

// mostPerPeer is how many connections one address may have: more than a host full of followed logs needs.
const mostPerPeer = 256

// Limit bounds the connections of a listener: those of one address, and all of them to most, which leaves the process
// descriptors for its own work whoever calls. What is too many is closed at once.
func Limit(l net.Listener, most int, log *zap.Logger) net.Listener {
	return &limited{Listener: l, most: most, perPeer: mostPerPeer, log: newQuietLog(log), peers: map[string]int{}}
}

type limited struct {
	net.Listener
	most, perPeer int
	log           *quietLog

	mu    sync.Mutex // guards what follows
	all   int
	peers map[string]int
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := hostOf(conn.RemoteAddr())
		if l.admit(peer) {
			return &counted{Conn: conn, end: sync.OnceFunc(func() { l.leave(peer) })}, nil
		}
		conn.Close()
		l.log.warn(peer, "a connection is refused: there are too many")
	}
}

func (l *limited) admit(peer string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.most || l.peers[peer] >= l.perPeer {
		return false
	}
	l.all++
	l.peers[peer]++
	return true
}

func (l *limited) leave(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.peers[peer]--; l.peers[peer] == 0 {
		delete(l.peers, peer)
	}
}

// hostOf is an address without its port.
func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	end func()
}

func (c *counted) Close() error {
	c.end()
	return c.Conn.Close()
}
