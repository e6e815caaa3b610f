package etcdapi

import "github.com/distsuper/distsuper/store"

// span is a range of keys as etcd writes it: one key, or all from key to before end.
type span struct {
	key, end string
	one      bool
}

// everything is the end of a range without an end.
const everything = "\x00"

func spanOf(key, end []byte) span {
	return span{key: string(key), end: string(end), one: len(end) == 0}
}

// prefix is what all keys of the span begin with. exact is true when every key with it is in the span.
func (s span) prefix() (prefix string, exact bool) {
	switch {
	case s.one:
		return s.key, false
	case s.end == everything:
		return "", s.key == everything || s.key == ""
	}
	n := 0
	for n < len(s.key) && n < len(s.end) && s.key[n] == s.end[n] {
		n++
	}
	if s.end == after(s.key) {
		return s.key, true
	}
	return s.key[:n], false
}

// after is the first key that is behind all keys with a prefix.
func after(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return everything
}

func (s span) has(key string) bool {
	switch {
	case s.one:
		return key == s.key
	case s.end == everything:
		return key >= s.key || s.key == everything
	}
	return key >= s.key && key < s.end
}

// read is the range that reads at least the span.
func (s span) read(rev int64, keysOnly bool) store.Range {
	r := store.Range{Key: s.key, Rev: rev, KeysOnly: keysOnly}
	if s.one {
		return r
	}
	prefix, _ := s.prefix()
	r.Key, r.Prefix = prefix, true
	if s.key > prefix && s.key != everything {
		r.From = s.key
	}
	return r
}
