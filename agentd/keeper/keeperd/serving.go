package keeperd

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/agentd/keeper"
)

// serving is the server on the keeper's socket. It can pause: then whoever connects waits in the kernel.
type serving struct {
	socket keeper.Socket
	server *keeper.Server
	log    *zap.Logger

	mu    sync.Mutex // guards what follows
	ended bool
	stop  context.CancelFunc
	done  chan error // what Serve returned
}

func newServing(socket keeper.Socket, log *zap.Logger) *serving {
	return &serving{socket: socket, log: log}
}

// begin answers the calls of a keeper.
func (s *serving) begin(k keeper.Keeper) {
	s.server = keeper.NewServer(k, s.log)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serveLocked()
}

func (s *serving) serveLocked() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s.stop, s.done = cancel, done
	go func() { done <- s.server.Serve(ctx, s.socket) }()
}

// pause answers no more calls, once those are answered that are under way. With an error some are not, and nobody knows what they change.
func (s *serving) pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return keeper.ErrClosing
	}
	if err := s.socket.Hold(); err != nil {
		return err
	}
	s.stop()
	<-s.done
	s.done = nil
	for end := time.Now().Add(time.Second); s.server.Busy(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("calls are still being answered")
		}
	}
	return nil
}

// resume undoes pause.
func (s *serving) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.socket.Release(); err != nil {
		s.log.Error("The keeper's socket cannot be listened on", zap.Error(err))
	}
	if s.done == nil && !s.ended {
		s.serveLocked()
	}
}

// end closes the socket after all calls are answered.
func (s *serving) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	if s.done == nil {
		return errors.Join(s.socket.Release(), s.socket.Close())
	}
	s.stop()
	return <-s.done
}
