// Package logstream is how a part of a log is named, asked for and sent over HTTP, so that whoever follows a log and is cut off
// can go on exactly where it was, or is told how much it missed.
package logstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// A Position is a place in a log: so many bytes after the beginning of a file, counted on through the files that took its
// place when it was full. Rotation changes no position.
type Position struct {
	// File is the identity of a file, opaque to all but the keeper of its machine. Empty is the file that is written now.
	File string
	// Offset is negative for what is in older files than File.
	Offset int64
}

// Forward is the position n bytes further on.
func (p Position) Forward(n int64) Position { return Position{File: p.File, Offset: p.Offset + n} }

// A Range is the part of a log that is asked for.
type Range struct {
	// From is where it begins; nil means that Last says it.
	From *Position
	// Last is how many of the last bytes are wanted, from older files, too, where the present one has too few; below 0 it is all of
	// the present file.
	Last int64
	// Length bounds how many bytes are sent; 0 is no bound.
	Length int64
	// Follow goes on with what comes, until either side ends it.
	Follow bool
}

// UnknownGap is the Gap of a position that nothing is known about any more: the log was removed, or its keeper was started anew when
// the file of the position was gone. The stream begins with the present file then.
const UnknownGap = -1

// Start is where a stream begins.
type Start struct {
	// Position of the first byte. Its File is empty when the sender knows no positions.
	Position
	// Gap is how many bytes between Range.From and Position are gone, UnknownGap when nobody knows.
	Gap int64
	// Size is that of the present file.
	Size int64
}

// A Stream is a part of a log being read. A stream that breaks ends in an error, not in io.EOF; go on from its position then.
type Stream struct {
	io.ReadCloser
	Start
}

// Names of the query's parameters and the answer's headers.
const (
	paramLength = "length"
	paramFollow = "follow"
	paramFile   = "file"
	paramOffset = "offset"

	headerFile   = "Distsuper-Log-File"
	headerOffset = "Distsuper-Log-Offset"
	headerGap    = "Distsuper-Log-Gap"
	headerSize   = "Distsuper-Log-Size"
)

// Query is the range as parameters of a request; last is the name of the one for Last. A server that knows no positions sees
// only that and follow.
func (r Range) Query(last string) url.Values {
	q := url.Values{last: {strconv.FormatInt(r.Last, 10)}}
	if r.From != nil {
		q.Set(last, "0")
		q.Set(paramFile, r.From.File)
		q.Set(paramOffset, strconv.FormatInt(r.From.Offset, 10))
	}
	if r.Length != 0 {
		q.Set(paramLength, strconv.FormatInt(r.Length, 10))
	}
	if r.Follow {
		q.Set(paramFollow, "true")
	}
	return q
}

// ParseQuery reads what Query has written.
func ParseQuery(q url.Values, last string) (r Range, err error) {
	number := func(name string) (n int64) {
		text := q.Get(name)
		n, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil && err == nil {
			err = fmt.Errorf("%s is not a number: %q", name, text)
		}
		return n
	}
	r = Range{Last: number(last), Follow: q.Get(paramFollow) == "true"}
	if q.Has(paramOffset) {
		r.From = &Position{File: q.Get(paramFile), Offset: number(paramOffset)}
	}
	if q.Has(paramLength) {
		if r.Length = number(paramLength); r.Length < 0 && err == nil {
			err = fmt.Errorf("length is below 0: %d", r.Length)
		}
	}
	return r, err
}

// Open makes a stream of a successful answer.
func Open(answer *http.Response) *Stream {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(answer.Header.Get(name), 10, 64) // 0 of a server that knows no positions
		return n
	}
	return &Stream{ReadCloser: answer.Body, Start: Start{
		Position: Position{File: answer.Header.Get(headerFile), Offset: number(headerOffset)}, Gap: number(headerGap), Size: number(headerSize)}}
}

// SetHeader tells in an answer where its stream begins.
func (s Start) SetHeader(h http.Header) {
	h.Set(headerFile, s.File)
	h.Set(headerOffset, strconv.FormatInt(s.Offset, 10))
	h.Set(headerGap, strconv.FormatInt(s.Gap, 10))
	h.Set(headerSize, strconv.FormatInt(s.Size, 10))
}

// Send answers with bytes as soon as they come, until either side ends. What ends with an error is cut, so that it does not
// look whole: the status is sent by then.
func Send(w http.ResponseWriter, from io.Reader) {
	w.Header().Set("Content-Type", "application/octet-stream")
	control := http.NewResponseController(w)
	if control.Flush() != nil { // the caller's headers, before the first byte of a quiet log
		return
	}
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := w.Write(buffer[:n]); err != nil {
				return
			}
			if control.Flush() != nil {
				return
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}
