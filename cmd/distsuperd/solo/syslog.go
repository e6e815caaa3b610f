package solo

import (
	"log/syslog"
	"strings"
	"time"
)

const (
	// syslogPriority and syslogTag are supervisord's.
	syslogPriority = syslog.LOG_USER | syslog.LOG_INFO
	syslogTag      = "supervisord"
	// syslogWaiting is how many messages may wait for a syslog that is slow; what comes then is lost.
	syslogWaiting = 1000
	// syslogRetry is how long one that is away is left alone, and what is left at the end gets.
	syslogRetry = time.Second
)

// toSyslog sends the journal to syslog. It never waits for that: a syslog that is away or stuck must not hold up a
// daemon that has to stop its processes. supervisord, too, goes on when there is none.
type toSyslog struct {
	dial  func() (*syslog.Writer, error)
	lines chan string
	done  chan struct{}
}

func newToSyslog(dial func() (*syslog.Writer, error)) *toSyslog {
	s := &toSyslog{dial: dial, lines: make(chan string, syslogWaiting), done: make(chan struct{})}
	go s.run()
	return s
}

// hostSyslog connects to this host's.
func hostSyslog() (*syslog.Writer, error) { return syslog.New(syslogPriority, syslogTag) }

// send takes a line; what has line ends in it becomes several messages.
func (s *toSyslog) send(text string) {
	for line := range strings.Lines(text) {
		select {
		case s.lines <- strings.TrimSuffix(line, "\n"):
		default:
		}
	}
}

func (s *toSyslog) run() {
	defer close(s.done)
	var to *syslog.Writer
	var tried time.Time
	for line := range s.lines {
		if to == nil && time.Since(tried) >= syslogRetry {
			tried = time.Now()
			to, _ = s.dial() // nobody is left to be told why there is none
		}
		if to != nil && to.Info(line) != nil {
			to.Close()
			to = nil
		}
	}
	if to != nil {
		to.Close()
	}
}

// close gives what waits a moment.
func (s *toSyslog) close() {
	close(s.lines)
	select {
	case <-s.done:
	case <-time.After(syslogRetry):
	}
}
