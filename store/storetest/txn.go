package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/distsuper/distsuper/store"
)

var txnCases = []Case{
	{Name: "ComparesEveryKind", Test: comparesEveryKind},
	{Name: "ComparesThePresentWithoutOperations", Test: comparesThePresent},
	{Name: "RunsOneBranch", Test: runsOneBranch},
	{Name: "DeletesPrefixes", Test: deletesPrefixes},
	{Name: "RefusesMoreThan128Operations", Test: refusesTooMany},
	{Name: "RefusesAKeyTwice", Test: refusesAKeyTwice},
	{Name: "CountsExactlyUnderContention", Test: countsExactly},
}

func comparesEveryKind(t *testing.T, s Server) {
	b := newBed(t, s)
	lease := b.grant(30)
	made := b.put("a", "dir/x", "ab")
	changed := b.putOn("a", lease.ID)
	a, none := b.key("a"), b.key("none")
	for _, c := range []struct {
		name string
		cmp  store.Cmp
		want bool
	}{
		{"unchanged since its last change", store.Unchanged(a, changed), true},
		{"unchanged since an earlier change", store.Unchanged(a, made), false},
		{"absent, and it is", store.Absent(none), true},
		{"absent, and it is there", store.Absent(a), false},
		{"created then", store.Created(a, made), true},
		{"created at another revision", store.Created(a, changed), false},
		{"created, absent", store.Created(none, made), false},
		{"created at 0 means absent", store.Created(none, 0), true},
		{"exists", store.Exists(a), true},
		{"exists, absent", store.Exists(none), false},
		{"on its lease", store.Cmp{Key: a, Kind: store.CmpLease, Rev: int64(lease.ID)}, true},
		{"on another lease", store.Cmp{Key: a, Kind: store.CmpLease, Rev: int64(lease.ID) + 1}, false},
		{"on no lease", store.Cmp{Key: b.key("ab"), Kind: store.CmpLease}, true},
		{"value", store.Cmp{Key: a, Kind: store.CmpValue, Value: []byte("a")}, true},
		{"another value", store.Cmp{Key: a, Kind: store.CmpValue, Value: []byte("b")}, false},
		{"value of an absent key", store.Cmp{Key: none, Kind: store.CmpValue}, false},
		{"nothing below an empty prefix", store.AbsentPrefix(b.key("none/")), true},
		{"nothing below a prefix with a key", store.AbsentPrefix(b.key("dir/")), false},
		{"nothing below a prefix that is a key", store.AbsentPrefix(b.key("ab")), false},
	} {
		res := b.do(store.Txn{If: []store.Cmp{c.cmp}})
		if res.Succeeded != c.want {
			t.Errorf("%s: %v", c.name, res.Succeeded)
		}
	}
	res := b.do(store.Txn{If: []store.Cmp{store.Exists(a), store.Exists(none)}})
	equal(t, "one of two conditions", res.Succeeded, false)
	b.delete("dir/x")
	res = b.do(store.Txn{If: []store.Cmp{store.AbsentPrefix(b.key("dir/"))}})
	equal(t, "nothing below a prefix whose key was deleted", res.Succeeded, true)
}

// comparesThePresent: etcd itself lets a member that lags behind answer a transaction without operations.
func comparesThePresent(t *testing.T, s Server) {
	b := newBed(t, s)
	for i := range 100 {
		rev := b.put("a")
		if res := b.do(store.Txn{If: []store.Cmp{store.Unchanged(b.key("a"), rev)}}); !res.Succeeded || res.Rev < rev {
			t.Fatalf("comparison %d does not see the write before it: revision %d, then %d", i, rev, res.Rev)
		}
	}
}

func runsOneBranch(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a")
	txn := store.Txn{
		If:   []store.Cmp{store.Unchanged(b.key("a"), rev)},
		Then: []store.Op{store.Get(b.key("a")), store.Put(b.key("then"), nil), store.Get(b.key("then")), store.Delete(b.key("a"))},
		Else: []store.Op{store.Put(b.key("else"), nil), store.Get(b.key("none"))},
	}
	res := b.do(txn)
	if !res.Succeeded || res.Rev != rev+1 || len(res.Got) != 4 {
		t.Fatalf("first: %+v", res)
	}
	if res.Got[0] == nil || res.Got[0].ModRev != rev || res.Got[1] != nil || res.Got[3] != nil {
		t.Errorf("got %+v", res.Got)
	}
	if res.Got[2] == nil || res.Got[2].ModRev != rev+1 {
		t.Errorf("an operation does not see the ones before it: %+v", res.Got[2])
	}
	res = b.do(txn)
	if res.Succeeded || len(res.Got) != 2 || res.Got[1] != nil {
		t.Errorf("second: %+v", res)
	}
	if names := b.all(); !slices.Equal(names, []string{"else", "then"}) {
		t.Errorf("keys %v", names)
	}
}

func deletesPrefixes(t *testing.T, s Server) {
	b := newBed(t, s)
	rev := b.put("a/1", "a/2", "ab", "b")
	w := b.watch(rev + 1)
	b.do(store.Txn{Then: []store.Op{store.DeletePrefix(b.key("a/"))}})
	if names := b.all(); !slices.Equal(names, []string{"ab", "b"}) {
		t.Errorf("left: %v", names)
	}
	changes, _ := b.changes(w, 2)
	for _, ev := range changes {
		if ev.Kind != store.ChangeDelete || ev.Entry.ModRev != rev+1 {
			t.Errorf("event %+v, want deletes of revision %d", ev, rev+1)
		}
	}
}

func refusesTooMany(t *testing.T, s Server) {
	b := newBed(t, s)
	var cmps []store.Cmp
	var ops []store.Op
	for i := range store.MaxTxnOps {
		cmps = append(cmps, store.Absent(b.key(fmt.Sprintf("c%d", i))))
		ops = append(ops, store.Put(b.key(fmt.Sprintf("o%d", i)), nil))
	}
	rev := b.do(store.Txn{If: cmps, Then: ops, Else: ops}).Rev
	for name, txn := range map[string]store.Txn{
		"compares": {If: append(cmps, store.Absent(b.key("one-more"))), Then: ops[:1]},
		"then":     {Then: append(ops, store.Put(b.key("one-more"), nil))},
		"else":     {Else: append(ops, store.Put(b.key("one-more"), nil))},
	} {
		if _, err := s.KV.Txn(b.context(), txn); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("129 %s: %v, want ErrInvalid", name, err)
		}
	}
	if b.get("one-more") != nil || b.get("o0").ModRev != rev {
		t.Error("a refused transaction changed something")
	}
}

func refusesAKeyTwice(t *testing.T, s Server) {
	b := newBed(t, s)
	put, del := store.Put(b.key("a"), nil), store.Delete(b.key("a"))
	for name, ops := range map[string][]store.Op{
		"put and put":                     {put, put},
		"put and delete":                  {put, del},
		"delete and put":                  {del, put},
		"put and delete of a prefix":      {put, store.DeletePrefix(b.prefix)},
		"put of another key between them": {put, store.Put(b.key("b"), nil), put},
	} {
		if _, err := s.KV.Txn(b.context(), store.Txn{Then: ops}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	equal(t, "keys after refused transactions", len(b.all()), 0)
	b.do(store.Txn{Then: []store.Op{put, store.Get(b.key("a"))}, Else: []store.Op{put}})
	b.do(store.Txn{Then: []store.Op{del, del}})
	equal(t, "keys at the end", len(b.all()), 0)
}

// countsExactly has writers add to one key by compare and put: what all transactions rest on.
func countsExactly(t *testing.T, s Server) {
	b := newBed(t, s)
	const writers, each = 6, 10
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for n := 0; n < each; {
				if b.add() {
					n++
				}
			}
		})
	}
	wg.Wait()
	if e := b.get("n"); e == nil || string(e.Value) != strconv.Itoa(writers*each) || e.Version != writers*each {
		t.Errorf("after %d additions: %+v", writers*each, e)
	}
}

func (b *bed) add() bool {
	res, err := b.KV.Range(b.t.Context(), store.Range{Key: b.key("n")})
	if err != nil {
		return false
	}
	var n int
	var rev int64
	if len(res.Entries) > 0 {
		n, _ = strconv.Atoi(string(res.Entries[0].Value))
		rev = res.Entries[0].ModRev
	}
	done, err := b.KV.Txn(b.t.Context(), store.Txn{
		If:   []store.Cmp{store.Unchanged(b.key("n"), rev)},
		Then: []store.Op{store.Put(b.key("n"), []byte(strconv.Itoa(n+1)))},
	})
	return err == nil && done.Succeeded
}
