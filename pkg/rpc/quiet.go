package rpc

import (
	"bytes"
	"net"
	"regexp"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/quiet"
)

// quietLog tells what goes wrong with a peer once a minute, and how often it went wrong in between: whoever knocks on a
// port a thousand times a second does not fill the log. Its methods may be called at once.
type quietLog struct {
	log     *zap.Logger
	counter *quiet.Counter
}

func newQuietLog(log *zap.Logger) *quietLog { return quietLogBy(log, time.Now) }

func quietLogBy(log *zap.Logger, now func() time.Time) *quietLog {
	return &quietLog{log, quiet.NewCounter(quiet.Least, now)}
}

func (q *quietLog) warn(peer, text string) {
	peer, more, tell := q.counter.Count(peer, "many others")
	if !tell {
		return
	}
	fields := []zap.Field{zap.String("peer", peer)}
	if more > 0 {
		fields = append(fields, zap.Int(quiet.TimesField, more))
	}
	q.log.Warn(text, fields...)
}

// peerIn finds the address in a line of net/http's.
var peerIn = regexp.MustCompile(`\bfrom (\S+:\d+): |\bserving (\S+:\d+): `)

// Write takes a line of net/http's error log, such as "http: TLS handshake error from 10.0.0.9:4411: EOF".
func (q *quietLog) Write(line []byte) (int, error) {
	text, peer := string(bytes.TrimSpace(line)), ""
	if at := peerIn.FindStringSubmatchIndex(text); at != nil {
		i := 2
		if at[2] < 0 {
			i = 4
		}
		peer = text[at[i]:at[i+1]]
		if host, _, err := net.SplitHostPort(peer); err == nil {
			text, peer = text[:at[i]]+host+text[at[i+1]:], host
		}
	}
	q.warn(peer, text)
	return len(line), nil
}
