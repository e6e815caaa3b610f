package privatesock

import (
	"net"
	"sync"
)

// Split parts what l accepts: own has the connections of this user and root, others those of everybody else whom l lets in. They
// come as own is accepted from. Each is closed for itself; own's Close closes l.
func Split(l net.Listener) (own, others net.Listener) {
	d := &diverted{addr: l.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})}
	return &split{l, d}, d
}

type split struct {
	net.Listener
	others *diverted
}

func (s *split) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil || CheckPeer(conn) == nil {
			return conn, err
		}
		select {
		case s.others.conns <- conn:
		case <-s.others.closed:
			conn.Close()
		}
	}
}

type diverted struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (d *diverted) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (d *diverted) Addr() net.Addr { return d.addr }

// Close implements net.Listener.
func (d *diverted) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}
