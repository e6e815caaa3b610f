package store

// Span is the keys from From on, and before End; an End of "" is none.
type Span struct{ From, End string }

// Below are all keys that begin with prefix; with "" every key.
func Below(prefix string) Span {
	if prefix == "" {
		return Span{From: "\x00"} // no key comes before, and the zero Span has no keys to read
	}
	return Span{From: prefix, End: after(prefix)}
}

// Only is the span of one key.
func Only(key string) Span { return Span{From: key, End: key + "\x00"} }

// after is the first key behind all those with a prefix, "" when there is none.
func after(prefix string) string {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			return prefix[:i] + string([]byte{prefix[i] + 1})
		}
	}
	return ""
}

// Has reports whether a key is one of them.
func (s Span) Has(key string) bool { return key >= s.From && (s.End == "" || key < s.End) }

func (s Span) String() string {
	if s == Below(s.From) {
		return s.From
	}
	return s.From + " to " + s.End
}
