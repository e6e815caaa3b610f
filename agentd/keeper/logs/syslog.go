package logs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	syslogSocket = "/dev/log"
	syslogTag    = "distsuper"
	// syslogPriority is facility user, severity info, as supervisor's messages have it.
	syslogPriority = "<14>"
	// longestMessage is what a line is cut into. Syslog daemons cut off what is longer than 8 KB.
	longestMessage = 8000
	// maxWaiting bounds, in bytes, the messages that wait for a syslog that is away or slow. What comes then is lost
	// for syslog, and counted.
	maxWaiting = 1 << 20
	// syslogPatience is how long syslog may take to accept one message before it counts as stuck, and, after Close,
	// all that wait.
	syslogPatience = time.Second
	// How soon a syslog that is away is tried again.
	firstSyslogRetry, lastSyslogRetry = 50 * time.Millisecond, time.Second
)

// Syslog sends lines to the host's syslog daemon. Send never waits for it: a goroutine, begun by the first line, does.
// It may be used from any goroutine.
type Syslog struct {
	path string
	tag  string
	log  *zap.Logger

	// sending is held from before a message is sent until it is dequeued, so that a hand-over neither loses nor doubles one.
	sending sync.Mutex

	mu      sync.Mutex // guards what follows
	begun   bool
	closing bool
	waiting [][]byte
	size    int // of waiting
	lost    int // messages since the last one that was taken in

	wake chan struct{} // there is something in waiting
	end  chan struct{} // closed by Close
	done chan struct{}

	// What follows belongs to the goroutine.
	conn   net.Conn
	stream bool
	away   bool // and that was logged
}

// NewSyslog sends to the syslog at a socket, /dev/log when empty, with a tag, distsuper when empty. It connects when there is
// something to send. The logger gets a message when syslog goes away and when it is back.
func NewSyslog(path, tag string, log *zap.Logger) *Syslog {
	return &Syslog{path: cmp.Or(path, syslogSocket), tag: cmp.Or(tag, syslogTag), log: log,
		wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
}

// Send takes lines in, of which the last may lack its end. Each becomes a message that begins with the prefix.
func (s *Syslog) Send(prefix string, lines []byte) {
	if len(lines) == 0 {
		return
	}
	head := []byte(s.head() + prefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return
	}
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		for len(line) > longestMessage {
			n := pieceOf(line)
			s.addLocked(slices.Concat(head, line[:n]))
			line = line[n:]
		}
		s.addLocked(slices.Concat(head, line))
	}
	s.beginLocked()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// export returns what waits.
func (s *Syslog) export() syslogState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return syslogState{s.waiting, s.lost}
}

// adopt takes over what waited in another one. It is sent once begin is called.
func (s *Syslog) adopt(from syslogState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.lost = from.Waiting, from.Lost
	for _, message := range s.waiting {
		s.size += len(message)
	}
}

// begin has what was adopted sent.
func (s *Syslog) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginLocked()
}

// beginLocked has what waits sent.
func (s *Syslog) beginLocked() {
	if !s.begun && len(s.waiting) > 0 {
		s.begun = true
		go s.run()
	}
}

// head is what comes before our own text, in the form of the C library.
func (s *Syslog) head() string {
	return syslogPriority + clock.Real{}.Wall().Format(time.Stamp) + " " + s.tag + ": "
}

// pieceOf is how much of a line that is too long goes into one message. A character is not cut.
func pieceOf(line []byte) int {
	for n := longestMessage; n > longestMessage-utf8.UTFMax; n-- {
		if utf8.RuneStart(line[n]) {
			return n
		}
	}
	return longestMessage
}

func (s *Syslog) addLocked(message []byte) {
	if s.size+len(message) > maxWaiting {
		s.lost++
		return
	}
	s.waiting = append(s.waiting, message)
	s.size += len(message)
}

// peek is the message that waits longest; nil for none.
func (s *Syslog) peek() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return nil
	}
	return s.waiting[0]
}

// dequeue drops the message that peek returned, and is the only one to do so.
func (s *Syslog) dequeue() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size -= len(s.waiting[0])
	if s.waiting = s.waiting[1:]; len(s.waiting) == 0 {
		s.waiting = nil // the memory of a burst is not kept
	}
	if s.lost > 0 && s.size < maxWaiting/2 {
		s.waiting = append(s.waiting, fmt.Appendf(nil, "%s%d lines were lost while syslog did not take them", s.head(), s.lost))
		s.size += len(s.waiting[len(s.waiting)-1])
		s.lost = 0
	}
}

// run delivers until Close.
func (s *Syslog) run() {
	defer close(s.done)
	retry := firstSyslogRetry
	for {
		message := s.peek()
		switch {
		case message == nil && s.ending():
			s.disconnect()
			return
		case message == nil:
			select {
			case <-s.wake:
			case <-s.end:
			}
			continue
		}
		s.sending.Lock()
		err := s.deliver(message)
		if err == nil {
			retry = firstSyslogRetry
			s.reportState(nil)
			s.dequeue()
		}
		s.sending.Unlock()
		if err == nil {
			continue
		}
		s.disconnect()
		s.reportState(err)
		if s.ending() {
			s.reportLoss(err)
			return
		}
		wait := time.NewTimer(retry)
		select {
		case <-wait.C:
		case <-s.end:
			wait.Stop()
		}
		retry = min(2*retry, lastSyslogRetry)
	}
}

// deliver sends one message, over a new connection where there is none.
func (s *Syslog) deliver(message []byte) error {
	if s.conn == nil {
		if err := s.connect(); err != nil {
			return err
		}
	}
	if s.stream {
		message = append(bytes.Clone(message), 0)
	}
	if !s.ending() { // Close has set the last deadline
		if err := s.conn.SetWriteDeadline(time.Now().Add(syslogPatience)); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(message)
	return err
}

// connect speaks datagrams, or a stream to a daemon that listens so.
func (s *Syslog) connect() error {
	conn, err := net.Dial("unixgram", s.path)
	stream := errors.Is(err, unix.EPROTOTYPE)
	if stream {
		conn, err = net.DialTimeout("unix", s.path, syslogPatience)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.conn, s.stream = conn, stream
	s.mu.Unlock()
	return conn.SetWriteDeadline(time.Now().Add(syslogPatience))
}

func (s *Syslog) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
}

// reportState logs when syslog goes and when it is back.
func (s *Syslog) reportState(err error) {
	if away := err != nil; away == s.away {
		return
	}
	if s.away = err != nil; s.away {
		s.log.Warn("syslog takes no output; lines wait for it, and are lost for syslog when there are too many", zap.String("socket", s.path), zap.Error(err))
		return
	}
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	s.log.Info("syslog takes output again", zap.String("socket", s.path), zap.Int("lost_lines", lost))
}

func (s *Syslog) reportLoss(err error) {
	s.mu.Lock()
	lost := s.lost + len(s.waiting)
	s.mu.Unlock()
	s.log.Error("lines are lost for syslog", zap.String("socket", s.path), zap.Int("lines", lost), zap.Error(err))
}

func (s *Syslog) ending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Close delivers what waits, if syslog takes it within syslogPatience. What is sent afterwards is dropped.
func (s *Syslog) Close() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	begun := s.begun
	if s.conn != nil {
		_ = s.conn.SetWriteDeadline(time.Now().Add(syslogPatience))
	}
	s.mu.Unlock()
	close(s.end)
	if begun {
		<-s.done
	}
}
