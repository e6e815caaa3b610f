package privatesock

import (
	"net"
	"sync"
)

// Split parts what l accepts: own has the connections of this user and root, others those of everybody else whom l lets in. They
// come as own is accepted from, and closing either closes both.
func Split(l net.Listener) (own, others net.Listener) {
	s := &split{Listener: l, conns: make(chan net.Conn), closed: make(chan struct{})}
	return s, &diverted{s}
}

type split struct {
	net.Listener
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *split) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil || CheckPeer(conn) == nil {
			return conn, err
		}
		select {
		case s.conns <- conn:
		case <-s.closed:
			conn.Close()
		}
	}
}

func (s *split) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Listener.Close()
}

type diverted struct{ *split }

func (d *diverted) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}
