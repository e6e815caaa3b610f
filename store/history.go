package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
)

const (
	historyTTL    = 7 * 24 * 3600    // seconds that an entry lives
	historyShared = 10 * time.Minute // entries of one writer share a lease so long
	historyKept   = 100              // entries of a subject that Trim leaves
	historyLong   = 125              // from how many on it does: a little more, so that not every entry costs a second write
)

// Subject is what a history is of. Its spelling is that of its key, and known here only: a process is its name, a machine
// has "@" in front, and the loads of a source "load " and controllers "controller " (no name has a blank). "" is everything.
type Subject string

// ProcessSubject is the history of a process.
func ProcessSubject(id string) Subject { return Subject(id) }

// MachineSubject is the history of a machine.
func MachineSubject(machine string) Subject { return Subject("@" + machine) }

// LoadSubject is the history of the loads of a source. Its entries have it in the place of a process.
func LoadSubject(source string) Subject { return Subject("load " + source) }

// ControllerSubject is the history of a controller. Its entries have it in the place of a process.
func ControllerSubject(id string) Subject { return Subject("controller " + id) }

// SubjectOf is the history to which an entry belongs: its process's, or else its machine's.
func SubjectOf(e api.HistoryEntry) Subject {
	if e.Process != "" {
		return Subject(e.Process)
	}
	return MachineSubject(e.Machine)
}

// History writes what happened and why. An entry goes into the transaction of the change that it tells, so
// that both happen or none. Its methods may be called at once.
type History struct {
	kv     KV
	keys   Keys
	writer string
	clock  clock.Clock

	mu     sync.Mutex // guards all below
	lease  LeaseID
	leased clock.Instant // when the lease was granted
	count  int64
}

// NewHistory takes the writer's name, which stands in the keys and, where an entry names
// nobody, in the entries: "leader d1", "agent m2", "ann@host". No two living writers may share it. A nil
// clock is clock.Go.
func NewHistory(kv KV, keys Keys, writer string, c clock.Clock) *History {
	if c == nil {
		c = clock.Go{}
	}
	return &History{kv: kv, keys: keys, writer: writer, clock: c}
}

// Op returns the put of an entry. It asks the store only when a new lease is needed: the first time,
// and then at most once in ten minutes in which something is written. A caller that gets an
// error may make its change untold. When a transaction with such an entry fails with
// ErrLeaseNotFound, call Forget: the lease may be this one.
func (h *History) Op(ctx context.Context, e api.HistoryEntry) (Op, error) {
	if e.At.IsZero() {
		e.At = h.clock.Wall()
	}
	if e.By == "" {
		e.By = h.writer
	}
	lease, count, err := h.next(ctx)
	if err != nil {
		return Op{}, fmt.Errorf("history of %s: %w", SubjectOf(e), err)
	}
	key := h.keys.HistoryEntry(SubjectOf(e), entryID(e.At, h.writer, count))
	return PutOn(key, Encode(e), lease), nil
}

// entryID sorts by time. The counter tells entries of one writer and nanosecond apart.
func entryID(at time.Time, writer string, count int64) string {
	return fmt.Sprintf("%s-%s-%d", at.UTC().Format("20060102T150405.000000000"), writer, count)
}

// next returns the lease to write on and a number of its own.
func (h *History) next(ctx context.Context) (LeaseID, int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
	now := h.clock.Now()
	if h.lease == 0 || now.Sub(h.leased) >= historyShared {
		l, err := h.kv.Grant(ctx, historyTTL)
		if err != nil {
			return 0, 0, err
		}
		h.lease, h.leased = l.ID, now
	}
	return h.lease, h.count, nil
}

// Forget makes the next entry go on a new lease.
func (h *History) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lease = 0
}

// Trim cuts every history that has grown long to its newest 100 entries, and returns how many went. It lists all keys of
// all histories, page by page.
func (h *History) Trim(ctx context.Context) (int, error) {
	var old, subject []string // keys to be deleted, and those of the subject that is being read
	flush := func() {
		if len(subject) >= historyLong {
			old = append(old, subject[:len(subject)-historyKept]...)
		}
		subject = subject[:0]
	}
	r := Range{Span: Below(h.keys.Histories()), KeysOnly: true, Limit: defaultPage}
	for more := true; more; {
		res, err := h.kv.Range(ctx, r)
		if err != nil {
			return 0, fmt.Errorf("trim the histories: %w", err)
		}
		for _, e := range res.Entries { // by subject, then by time
			if len(subject) > 0 && folder(subject[0]) != folder(e.Key) {
				flush()
			}
			subject = append(subject, e.Key)
		}
		if more = res.More && len(res.Entries) > 0; more {
			r.From = res.Entries[len(res.Entries)-1].Key + "\x00"
		}
	}
	flush()
	return h.remove(ctx, old)
}

func (h *History) remove(ctx context.Context, keys []string) (gone int, err error) {
	for part := range slices.Chunk(keys, MaxTxnOps) {
		ops := make([]Op, len(part))
		for i, key := range part {
			ops[i] = Delete(key)
		}
		if _, err := h.kv.Txn(ctx, Txn{Then: ops}); err != nil {
			return gone, fmt.Errorf("trim the histories: %w", err)
		}
		gone += len(part)
	}
	return gone, nil
}

func folder(key string) string { return key[:strings.LastIndexByte(key, '/')] }

// List returns the newest entries of a subject, at most limit (0 is all), the oldest first. Subject "" is
// every subject. An entry that cannot be read (a newer version's) is left out.
func (h *History) List(ctx context.Context, subject Subject, limit int) ([]api.HistoryEntry, error) {
	prefix := h.keys.Histories()
	if subject != "" {
		prefix = h.keys.History(subject)
	}
	res, err := h.kv.Range(ctx, Range{Key: prefix, Prefix: true})
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", cmp.Or(subject, "everything"), err)
	}
	entries := res.Entries
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(lastPart(a.Key), lastPart(b.Key)) })
	var list []api.HistoryEntry
	for _, e := range entries {
		if entry, err := Decode[api.HistoryEntry](e); err == nil {
			list = append(list, entry)
		}
	}
	if limit > 0 && len(list) > limit {
		list = list[len(list)-limit:]
	}
	return list, nil
}

func lastPart(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
