package rpc

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// firstByteTimeout is how long a connection may take to show what it speaks.
const firstByteTimeout = 10 * time.Second

// Split serves two protocols on one port: connections that begin a TLS handshake come out of secure,
// all others out of plain. It takes over the listener. Closing either closes it, waits until nothing works on its
// connections any more, and ends both.
func Split(l net.Listener) (plain, secure net.Listener) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &splitter{Listener: l, ended: ctx, end: cancel}
	p, t := &splitListener{splitter: s, conns: make(chan net.Conn)}, &splitListener{splitter: s, conns: make(chan net.Conn)}
	s.work.Go(func() { s.run(p.conns, t.conns) })
	return p, t
}

type splitter struct {
	net.Listener
	ended context.Context
	end   context.CancelFunc
	work  sync.WaitGroup
	once  sync.Once
}

func (s *splitter) run(plain, secure chan<- net.Conn) {
	for {
		conn, err := s.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			s.end()
			return
		case err != nil:
			time.Sleep(50 * time.Millisecond) // out of descriptors: others will close theirs
		default:
			// On its own, so that a silent caller keeps nobody waiting.
			s.work.Go(func() { s.dispatch(conn, plain, secure) })
		}
	}
}

// handshake is the first byte of every TLS connection and of no HTTP request.
const handshake = 0x16

// dispatch hands a connection over by its first byte.
func (s *splitter) dispatch(conn net.Conn, plain, secure chan<- net.Conn) {
	first := make([]byte, 1)
	conn.SetReadDeadline(time.Now().Add(firstByteTimeout))
	stop := context.AfterFunc(s.ended, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	n, err := conn.Read(first)
	if !stop() || n == 0 || err != nil {
		conn.Close()
		return
	}
	conn.SetReadDeadline(time.Time{})
	to := plain
	if first[0] == handshake {
		to = secure
	}
	select {
	case to <- &prefixedConn{Conn: conn, prefix: first}:
	case <-s.ended.Done():
		conn.Close()
	}
}

// splitListener is one of the two listeners.
type splitListener struct {
	*splitter
	conns chan net.Conn
}

func (l *splitListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.ended.Done():
		return nil, net.ErrClosed
	}
}

func (l *splitListener) Close() error {
	err := error(nil)
	l.once.Do(func() {
		l.end()
		err = l.Listener.Close()
		l.work.Wait()
	})
	return err
}

// prefixedConn returns what was read to find out the protocol before all else.
type prefixedConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixedConn) Read(b []byte) (int, error) {
	if len(c.prefix) > 0 && len(b) > 0 {
		n := copy(b, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}
