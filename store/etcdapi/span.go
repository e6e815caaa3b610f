package etcdapi

import "github.com/distsuper/distsuper/store"

// open is how etcd writes an end behind the last key.
const open = "\x00"

// spanOf reads a range as etcd writes it: the one key, or all from key to before end.
func spanOf(key, end []byte) (keys store.Span, one bool) {
	keys = store.Span{From: string(key), End: string(end)}
	if len(end) == 0 {
		keys.End = keys.From + "\x00"
		return keys, true
	}
	if keys.End == open {
		keys.End = ""
	}
	return keys, false
}

// prefixOf is the prefix that all keys of a span begin with, and no others; ok is false when there is none.
func prefixOf(keys store.Span) (prefix string, ok bool) {
	if keys == store.Below("") {
		return "", true
	}
	return keys.From, keys == store.Below(keys.From)
}
