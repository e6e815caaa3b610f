package logs

import "bytes"

const esc = 0x1b

// longestSequence bounds an escape sequence. Real ones have some twenty bytes; what is longer is none.
const longestSequence = 256

// stripper takes the ANSI escape sequences that begin with ESC [ out of a stream: colours, and what moves the cursor.
// Anything else stays, also what only begins like one.
type stripper struct {
	begun []byte // of a sequence whose end was not read yet
}

// strip returns data without its sequences. It may change data.
func (s *stripper) strip(data []byte) []byte {
	if len(s.begun) > 0 {
		data = append(s.begun, data...)
		s.begun = nil
	}
	out := data[:0]
	for {
		i := bytes.IndexByte(data, esc)
		if i < 0 {
			return append(out, data...)
		}
		out = append(out, data[:i]...)
		data = data[i:]
		n, whole := sequence(data)
		switch {
		case whole:
			data = data[n:]
		case n == len(data) && n <= longestSequence:
			s.begun = bytes.Clone(data)
			return out
		default:
			out = append(out, data[:n]...)
			data = data[n:]
		}
	}
}

// rest is what waited for the end of a sequence that does not come.
func (s *stripper) rest() []byte {
	begun := s.begun
	s.begun = nil
	return begun
}

// sequence looks at data, which begins with an ESC: the first n bytes are a whole sequence, or else may only be, or
// have been until then, the beginning of one. (ECMA-48, 5.4: parameters, intermediate bytes, one final byte.)
func sequence(data []byte) (n int, whole bool) {
	if len(data) > 1 && data[1] != '[' {
		return 1, false
	}
	n = min(2, len(data))
	for n < len(data) && data[n] >= 0x30 && data[n] <= 0x3f {
		n++
	}
	for n < len(data) && data[n] >= 0x20 && data[n] <= 0x2f {
		n++
	}
	if n < len(data) && n < longestSequence && data[n] >= 0x40 && data[n] <= 0x7e {
		return n + 1, true
	}
	return n, false
}
