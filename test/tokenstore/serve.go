package tokenstore

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
)

// Serve answers on every connection of a listener until that is closed, and closes those that are open then.
func (s *Store) Serve(l net.Listener) error {
	var (
		serving sync.WaitGroup
		mu      sync.Mutex // guards open
		open    = map[net.Conn]bool{}
	)
	defer serving.Wait()
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			c.Close()
		}
	}()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		mu.Lock()
		open[c] = true
		mu.Unlock()
		serving.Go(func() {
			s.converse(c)
			mu.Lock()
			delete(open, c)
			mu.Unlock()
			c.Close()
		})
	}
}

func (s *Store) converse(c net.Conn) {
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if _, err := fmt.Fprintln(c, s.answer(lines.Text())); err != nil {
			return
		}
	}
}

// answer is what one line is answered with.
func (s *Store) answer(line string) string {
	verb, rest, _ := strings.Cut(line, " ")
	switch fields := strings.SplitN(rest, " ", 4); {
	case verb == "get" && len(fields) == 1:
		if value, found := s.Get(rest); found {
			return "is " + value
		}
		return "none"
	case verb == "put" && len(fields) == 4:
		token, err := strconv.ParseInt(fields[1], 10, 64)
		if err == nil {
			err = s.Put(Write{Process: fields[0], Token: token, Key: fields[2], Value: fields[3]})
		}
		if stale := (StaleError{}); errors.As(err, &stale) {
			return fmt.Sprint("stale ", stale.Highest)
		}
		if err != nil {
			return "error " + err.Error()
		}
		return "ok"
	}
	return "error: put PROCESS TOKEN KEY VALUE, or get KEY"
}
