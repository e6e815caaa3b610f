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
// all others out of plain. It takes over the listener; both results end when it is closed, and
// closing either closes it.
func Split(l net.Listener) (plain, secure net.Listener) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s := &splitter{Listener: l, ended: ctx, end: cancel}
	p, t := &half{splitter: s, conns: make(chan net.Conn)}, &half{splitter: s, conns: make(chan net.Conn)}
	go s.run(p.conns, t.conns)
	return p, t
}

type splitter struct {
	net.Listener
	ended context.Context
	end   context.CancelCauseFunc
	once  sync.Once
}

func (s *splitter) run(plain, secure chan<- net.Conn) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				s.end(net.ErrClosed)
				return
			}
			time.Sleep(50 * time.Millisecond) // out of descriptors: others will close theirs
			continue
		}
		// On its own, so that a silent caller keeps nobody waiting.
		go s.sort(conn, plain, secure)
	}
}

// handshake is the first byte of every TLS connection and of no HTTP request.
const handshake = 0x16

func (s *splitter) sort(conn net.Conn, plain, secure chan<- net.Conn) {
	first := make([]byte, 1)
	conn.SetReadDeadline(time.Now().Add(firstByteTimeout))
	if n, err := conn.Read(first); n == 0 || err != nil {
		conn.Close()
		return
	}
	conn.SetReadDeadline(time.Time{})
	to := plain
	if first[0] == handshake {
		to = secure
	}
	select {
	case to <- &peeked{Conn: conn, first: first}:
	case <-s.ended.Done():
		conn.Close()
	}
}

// half is one of the two listeners.
type half struct {
	*splitter
	conns chan net.Conn
}

func (h *half) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.ended.Done():
		return nil, context.Cause(h.ended)
	}
}

func (h *half) Close() error {
	err := error(nil)
	h.once.Do(func() {
		h.end(net.ErrClosed)
		err = h.Listener.Close()
	})
	return err
}

// peeked gives back the byte that was looked at.
type peeked struct {
	net.Conn
	first []byte
}

func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) > 0 && len(b) > 0 {
		n := copy(b, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
