// Package backup saves what a fleet is, as a file of readable lines, and puts it back into any etcd.
//
// The file has what stands in etcd without a lease, at one revision: a line of JSON a key, between a head and a line with the
// checksum of all before it. It is made of a living fleet, and restored into one, with plain transactions below the prefix; so
// it is the same for distsuperd's own etcd and for another's, whatever else that holds. (A snapshot of etcd's own would have to be put back on
// the servers, with all of them stopped, and would take back what ran since, too.)
//
// Restore puts back what users have written as it was: programs, intents, cordons. What was found out about machines and runs
// counts only where the store knows nothing, since what it knows is newer. Placements are never put back: the leader decides
// anew, when the last run is known to be dead, and under tokens above those of the backup.
package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// format is the version of the file's format.
const format = 1

// ErrDamaged says that a file is no whole backup.
var ErrDamaged = errors.New("the backup is damaged")

// Head is the first line.
type Head struct {
	Format int       `json:"distsuper_backup"`
	Prefix string    `json:"prefix"`
	Rev    int64     `json:"rev"`    // of the store, at which all of it was read
	Tokens int64     `json:"tokens"` // none that was given until then is above it
	At     time.Time `json:"at"`
	By     string    `json:"by"`
}

// line is a key below the prefix, with its value as JSON or, where it is none, as text.
type line struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value,omitempty"`
	Text  *string         `json:"text,omitempty"`
}

// foot is the last line.
type foot struct {
	Keys   int    `json:"keys"`
	SHA256 string `json:"sha256"` // of everything before this line
}

// Backup is a whole one. Entries have full keys, below its own prefix, and their values.
type Backup struct {
	Head
	Entries []store.Entry
}

// Take reads a backup from the store.
func Take(ctx context.Context, kv store.KV, keys store.Keys, by string, at time.Time) (*Backup, error) {
	b := &Backup{Head: Head{Format: format, Prefix: keys.Root(), At: at.UTC(), By: by}}
	all := store.Below(keys.Root())
	for _, span := range []store.Span{ // without history, which is leased, and large
		{From: all.From, End: keys.Histories()}, {From: store.Below(keys.Histories()).End, End: all.End},
	} {
		res, err := store.ReadPages(ctx, kv, store.Range{Span: span, Rev: b.Rev, Limit: 1000})
		if err != nil {
			return nil, fmt.Errorf("back up %s: %w", keys.Root(), err)
		}
		if b.Rev == 0 {
			b.Rev = res.Rev
		}
		for _, e := range res.Entries {
			if e.Lease == 0 {
				b.Entries = append(b.Entries, e)
			}
		}
	}
	schema, err := b.schema(keys)
	b.Tokens = schema.Floor + b.Rev
	return b, err
}

// schema is the schema in it. A backup without one, or of one that this version does not know, is an error.
func (b *Backup) schema(keys store.Keys) (api.Schema, error) {
	for _, e := range b.Entries {
		if e.Key == keys.Schema() {
			return store.DecodeSchema(keys, &e)
		}
	}
	return store.DecodeSchema(keys, nil)
}

// Write writes it as a file.
func (b *Backup) Write(w io.Writer) error {
	sum := sha256.New()
	out := bufio.NewWriter(io.MultiWriter(w, sum))
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(b.Head); err != nil {
		return err
	}
	for _, e := range b.Entries {
		l := line{Key: strings.TrimPrefix(e.Key, b.Prefix)}
		if plain(e.Value) {
			l.Value = e.Value
		} else {
			text := string(e.Value)
			l.Text = &text
		}
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	end, err := json.Marshal(foot{Keys: len(b.Entries), SHA256: hex.EncodeToString(sum.Sum(nil))})
	if err != nil {
		return err
	}
	_, err = w.Write(append(end, '\n'))
	return err
}

// plain reports whether a value is JSON as it is written in a line.
func plain(value []byte) bool {
	var compact bytes.Buffer
	return json.Compact(&compact, value) == nil && bytes.Equal(compact.Bytes(), value) && string(value) != "null"
}

// Read reads a file. One that is not whole, or was changed, is ErrDamaged.
func Read(r io.Reader) (*Backup, error) {
	in := reader{in: bufio.NewReader(r), sum: sha256.New()}
	b := &Backup{}
	if err := in.next(&b.Head); err != nil {
		return nil, err
	}
	if b.Format != format || b.Prefix == "" {
		return nil, fmt.Errorf("%w: its first line is not that of a backup which this version can read", ErrDamaged)
	}
	for {
		var l struct {
			line
			foot
		}
		before := hex.EncodeToString(in.sum.Sum(nil))
		if err := in.next(&l); err != nil {
			return nil, err
		}
		switch {
		case l.SHA256 != "" && (l.SHA256 != before || l.Keys != len(b.Entries)):
			return nil, fmt.Errorf("%w: its checksum does not match", ErrDamaged)
		case l.SHA256 != "":
			if _, err := in.in.ReadByte(); err != io.EOF {
				return nil, fmt.Errorf("%w: something follows its end", ErrDamaged)
			}
			return b, nil
		}
		e := store.Entry{Key: b.Prefix + l.Key, Value: l.Value}
		if l.Text != nil {
			e.Value = []byte(*l.Text)
		}
		b.Entries = append(b.Entries, e)
	}
}

// reader reads lines and adds them up.
type reader struct {
	in   *bufio.Reader
	sum  hash.Hash
	line int
}

func (r *reader) next(into any) error {
	r.line++
	text, err := r.in.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: it ends in line %d, without its checksum", ErrDamaged, r.line)
	}
	r.sum.Write(text)
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%w: line %d: %w", ErrDamaged, r.line, err)
	}
	return nil
}
