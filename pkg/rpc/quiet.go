package rpc

import (
	"bytes"
	"net"
	"regexp"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// quietTime is how long a peer's further trouble is only counted.
	quietTime = time.Minute
	// mostPeers bounds what is remembered of peers; those beyond are counted as one.
	mostPeers = 1000
)

// quietLog tells what goes wrong with a peer once a minute, and how often it went wrong in between: whoever knocks on a
// port a thousand times a second does not fill the log. Its methods may be called at once.
type quietLog struct {
	log *zap.Logger
	now func() time.Time

	mu    sync.Mutex // guards what follows
	peers map[string]*trouble
}

// trouble is what is known of a peer.
type trouble struct {
	told time.Time // when it was told last
	more int       // times since
}

func newQuietLog(log *zap.Logger) *quietLog {
	return &quietLog{log: log, now: time.Now, peers: map[string]*trouble{}}
}

func (q *quietLog) warn(peer, text string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	t := q.peers[peer]
	if t == nil {
		if len(q.peers) >= mostPeers {
			q.forgetLocked(now)
		}
		if len(q.peers) >= mostPeers {
			peer = "many others"
		}
		if t = q.peers[peer]; t == nil {
			t = &trouble{}
			q.peers[peer] = t
		}
	}
	if now.Sub(t.told) < quietTime {
		t.more++
		return
	}
	fields := []zap.Field{zap.String("peer", peer)}
	if t.more > 0 {
		fields = append(fields, zap.Int("times_since", t.more))
	}
	q.log.Warn(text, fields...)
	*t = trouble{told: now}
}

// forgetLocked drops peers of which everything is told.
func (q *quietLog) forgetLocked(now time.Time) {
	for peer, t := range q.peers {
		if t.more == 0 && now.Sub(t.told) >= quietTime {
			delete(q.peers, peer)
		}
	}
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
