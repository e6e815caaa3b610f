package storetest

import (
	"errors"
	"slices"
	"testing"

	"github.com/distsuper/distsuper/store"
)

var readCases = []Case{
	{Name: "ReadsKeysAndPrefixes", Test: readsKeysAndPrefixes},
	{Name: "ReadsASpanOfKeys", Test: readsASpan},
	{Name: "ReadsPageByPageAtOneRevision", Test: readsPageByPage},
	{Name: "ReadsThePast", Test: readsThePast},
	{Name: "CountsRevisionsAndVersions", Test: countsRevisions},
	{Name: "TellsOfItsMembers", Test: tellsOfItsMembers},
}

func readsKeysAndPrefixes(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("b", "a/1", "a/2", "ab", "c")
	res := b.read(store.Range{Key: b.prefix, Prefix: true})
	if names := b.names(res.Entries); !slices.Equal(names, []string{"a/1", "a/2", "ab", "b", "c"}) {
		t.Errorf("not all, or not sorted: %v", names)
	}
	if res.Rev < rev || res.Term == 0 || res.Count != 5 || res.More {
		t.Errorf("revision %d after %d, term %d, count %d, more %v", res.Rev, rev, res.Term, res.Count, res.More)
	}
	if names := b.names(b.read(store.Range{Key: b.key("a/"), Prefix: true}).Entries); !slices.Equal(names, []string{"a/1", "a/2"}) {
		t.Errorf("prefix a/: %v", names)
	}
	res = b.read(store.Range{Key: b.key("a"), Prefix: false})
	if len(res.Entries) != 0 || res.Count != 0 {
		t.Errorf("a key that is only a prefix was found: %v", res.Entries)
	}
	res = b.read(store.Range{Key: b.key("ab"), KeysOnly: true})
	if len(res.Entries) != 1 || len(res.Entries[0].Value) != 0 || res.Entries[0].ModRev != rev {
		t.Errorf("keys only: %+v", res.Entries)
	}
	if e := b.get("ab"); e == nil || string(e.Value) != "ab" {
		t.Errorf("value of ab: %+v", e)
	}
}

func readsASpan(t *testing.T, s Server) {
	b := newBed(t, s)
	b.put("a/1", "b/1", "b/2", "c/1", "d")
	span := store.Span{From: b.key("b/"), End: b.key("d")}
	res := b.read(store.Range{Span: span, Limit: 2})
	if names := b.names(res.Entries); !slices.Equal(names, []string{"b/1", "b/2"}) || !res.More || res.Count != 3 {
		t.Errorf("first page %v, more %v, count %d", names, res.More, res.Count)
	}
	res = b.read(store.Range{Span: span, From: b.key("b/2") + "\x00", Rev: res.Rev})
	if names := b.names(res.Entries); !slices.Equal(names, []string{"c/1"}) || res.More {
		t.Errorf("second page %v, more %v", names, res.More)
	}
	if names := b.names(b.read(store.Range{Span: store.Only(b.key("d"))}).Entries); !slices.Equal(names, []string{"d"}) {
		t.Errorf("the span of d: %v", names)
	}
}

func readsPageByPage(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a", "b", "c", "d", "e")
	first := b.read(store.Range{Key: b.prefix, Prefix: true, Limit: 2})
	if names := b.names(first.Entries); !slices.Equal(names, []string{"a", "b"}) || !first.More || first.Count != 5 {
		t.Fatalf("first page %v, more %v, count %d", names, first.More, first.Count)
	}
	b.put("bb", "d")
	b.delete("c")
	next := b.read(store.Range{Key: b.prefix, Prefix: true, From: b.key("b") + "\x00", Rev: first.Rev})
	if names := b.names(next.Entries); !slices.Equal(names, []string{"c", "d", "e"}) || next.More {
		t.Fatalf("second page %v, more %v", names, next.More)
	}
	if next.Entries[1].ModRev != rev {
		t.Errorf("d was changed at %d, and at %d in a read of %d", rev, next.Entries[1].ModRev, first.Rev)
	}
}

func readsThePast(t *testing.T, s Server) {
	b := newBed(t, s)
	made := b.put("a")
	changed := b.do(store.Txn{Then: []store.Op{store.Put(b.key("a"), []byte("new"))}}).Rev
	b.delete("a")
	for _, c := range []struct {
		rev   int64
		value string
	}{{made - 1, ""}, {made, "a"}, {changed, "new"}, {0, ""}} {
		if c.rev == 0 && made == 1 {
			continue
		}
		res := b.read(store.Range{Key: b.key("a"), Rev: c.rev})
		value := ""
		if len(res.Entries) > 0 {
			value = string(res.Entries[0].Value)
		}
		if value != c.value || res.Rev < changed+1 {
			t.Errorf("at revision %d: %q, want %q; the store says that it is at %d", c.rev, value, c.value, res.Rev)
		}
	}
	if _, err := s.KV.Range(b.context(), store.Range{Key: b.key("a"), Rev: changed + 1e6}); !errors.Is(err, store.ErrBehind) {
		t.Errorf("a revision of the future: %v, want ErrBehind", err)
	}
}

func countsRevisions(t *testing.T, s Server) {
	b := newBed(t, s)
	r1 := b.put("a", "b")
	r2 := b.put("a")
	equal(t, "revisions of one write", r2-r1, 1)
	e := b.get("a")
	if e == nil || e.CreateRev != r1 || e.ModRev != r2 || e.Version != 2 || e.Lease != 0 {
		t.Fatalf("written at %d and %d: %+v", r1, r2, e)
	}
	equal(t, "revision after deleting nothing", b.delete("none"), r2)
	equal(t, "revision after a transaction that only reads", b.do(store.Txn{Then: []store.Op{store.Get(b.key("a"))}}).Rev, r2)
	equal(t, "revision after a delete", b.delete("a"), r2+1)
	r4 := b.put("a")
	e = b.get("a")
	if e == nil || e.CreateRev != r4 || e.ModRev != r4 || e.Version != 1 {
		t.Errorf("made anew at %d: %+v", r4, e)
	}
	if e := b.get("b"); e.CreateRev != r1 || e.ModRev != r1 {
		t.Errorf("b was written at %d only: %+v", r1, e)
	}
}

func tellsOfItsMembers(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a")
	var members []store.Member
	// A follower may have answered the write before the leader has it in its own state.
	b.eventually("the leader tells of the write", func() bool {
		members = s.KV.Members(b.context())
		return slices.ContainsFunc(members, func(m store.Member) bool { return m.Leader && m.Rev >= rev })
	})
	equal(t, "members", len(members), len(s.KV.Endpoints()))
	leaders := 0
	for i, m := range members {
		if m.Err != nil {
			t.Errorf("member %d: %v", i, m.Err)
		}
		if m.Leader {
			leaders++
			if m.Term == 0 || m.Version == "" {
				t.Errorf("the leader after revision %d: %+v", rev, m)
			}
		}
		equal(t, "endpoint", m.Endpoint, s.KV.Endpoints()[i])
	}
	equal(t, "leaders", leaders, 1)
}
