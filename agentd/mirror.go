package agentd

import (
	"strings"

	"github.com/distsuper/distsuper/store"
)

// mirror is what is known about the keys below one prefix: what the watch has told, and on top of it what our own
// transactions have answered and the watch has not yet told.
type mirror struct {
	prefix  string
	rev     int64 // the watch has told everything up to here
	entries map[string]store.Entry
	// ahead are the keys that an answer showed as of a revision beyond rev: older changes of
	// them are skipped.
	ahead map[string]int64
}

func newMirror(prefix string) *mirror {
	return &mirror{prefix: prefix, entries: map[string]store.Entry{}, ahead: map[string]int64{}}
}

func (m *mirror) get(key string) (store.Entry, bool) {
	e, ok := m.entries[key]
	return e, ok
}

// reset takes a whole reading and returns the keys that changed.
func (m *mirror) reset(rev int64, entries []store.Entry) []string {
	m.rev = rev
	m.settle()
	var changed []string
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.Key] = true
		if _, newer := m.ahead[e.Key]; newer {
			continue
		}
		if old, ok := m.entries[e.Key]; !ok || old.ModRev != e.ModRev {
			m.entries[e.Key] = e
			changed = append(changed, e.Key)
		}
	}
	for key := range m.entries {
		if _, newer := m.ahead[key]; !listed[key] && !newer {
			delete(m.entries, key)
			changed = append(changed, key)
		}
	}
	return changed
}

// apply takes what the watch tells and returns the keys that changed.
func (m *mirror) apply(rev int64, events []store.Change) []string {
	m.rev = max(m.rev, rev)
	var changed []string
	for _, ev := range events {
		if asOf, ok := m.ahead[ev.Entry.Key]; ok && ev.Entry.ModRev <= asOf {
			continue
		}
		if ev.Kind == store.ChangeDelete {
			delete(m.entries, ev.Entry.Key)
		} else {
			m.entries[ev.Entry.Key] = ev.Entry
		}
		changed = append(changed, ev.Entry.Key)
	}
	m.settle()
	return changed
}

// settle forgets which keys were ahead, once the watch has come as far.
func (m *mirror) settle() {
	for key, asOf := range m.ahead {
		if asOf <= m.rev {
			delete(m.ahead, key)
		}
	}
}

// answer takes what a transaction did, or what it read because a compare failed, and returns the keys
// that it told something about.
func (m *mirror) answer(t store.Txn, res store.TxnResult) []string {
	ops := t.Then
	if !res.Succeeded {
		ops = t.Else
	}
	var changed []string
	for i, op := range ops {
		if !strings.HasPrefix(op.Key, m.prefix) || !m.fresh(op.Key, res.Rev) {
			continue
		}
		switch {
		case op.Kind == store.OpPut:
			e := store.Entry{Key: op.Key, Value: op.Value, CreateRev: res.Rev, ModRev: res.Rev, Version: 1, Lease: op.Lease}
			if old, ok := m.entries[op.Key]; ok {
				e.CreateRev, e.Version = old.CreateRev, old.Version+1
			}
			m.entries[op.Key] = e
		case op.Kind == store.OpGet && i < len(res.Got) && res.Got[i] != nil:
			m.entries[op.Key] = *res.Got[i]
		case op.Kind == store.OpGet, op.Kind == store.OpDelete:
			delete(m.entries, op.Key)
		default:
			continue
		}
		m.ahead[op.Key] = res.Rev
		changed = append(changed, op.Key)
	}
	return changed
}

// fresh reports whether an answer at this revision says more of the key than is known.
func (m *mirror) fresh(key string, rev int64) bool {
	return rev > m.rev && rev > m.ahead[key]
}
