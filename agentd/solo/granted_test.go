package solo

import (
	"errors"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func TestWhoHasAccessDecidesWhatRunsButNotWhatThatIs(t *testing.T) {
	server := memstore.New(memstore.Options{})
	defer server.Close()
	kv, keys := server.Client("solo"), store.NewKeys("")
	defer kv.Close()
	program := func(command, user string, groups ...api.Group) api.Program {
		p := api.Program{Name: "web", Source: "file", Groups: groups}
		p.Command, p.User = command, user
		return p
	}
	put := func(p api.Program) store.Op { return store.Put(keys.Program("web"), store.Encode(p)) }
	ops, db := api.Group{Name: "ops"}, api.Group{Name: "db"}
	if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{put(program("old", "ann", ops, db))}}); err != nil {
		t.Fatal(err)
	}
	g := granted{kv, keys, func() ([]api.Program, error) { return []api.Program{program("new", "ann", ops)}, nil }}
	for _, c := range []struct {
		name string
		op   store.Op
		may  bool
	}{
		{"start", store.Put(keys.Intent("web"), []byte("{}")), true},
		{"leave a group", put(program("old", "ann", db)), true},
		{"what the file says now", put(program("new", "ann")), true},
		{"another command", put(program("sh", "ann")), false},
		{"another user", put(program("new", "")), false},
		{"another program", store.Put(keys.Program("evil"), store.Encode(program("new", "ann"))), false},
		{"no program", store.Put(keys.Program("web"), []byte("-")), false},
		{"a placement", store.Put(keys.Placement("m", "web"), []byte("{}")), false},
		{"an owner", store.Put(keys.Owner("web"), []byte("{}")), false},
		{"the death of the machine", store.Put(keys.Dead("m"), []byte("{}")), false},
		{"the signing key", store.Put(keys.SigningKey(), nil), false},
		{"tell", store.Put(keys.HistoryEntry("web", "1"), []byte("{}")), true},
		{"untell", store.Delete(keys.HistoryEntry("web", "1")), false},
		{"all", store.DeletePrefix(keys.Programs()), false},
		{"elsewhere", store.Put("/elsewhere", nil), false},
		{"remove", store.Delete(keys.Program("web")), true},
	} {
		for _, txn := range []store.Txn{{Then: []store.Op{c.op}}, {If: []store.Cmp{store.Exists("/nothing")}, Else: []store.Op{c.op}}} {
			if _, err := g.Txn(t.Context(), txn); errors.Is(err, store.ErrPermission) == c.may {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	if err := g.Revoke(t.Context(), 1); !errors.Is(err, store.ErrPermission) {
		t.Errorf("end a lease: %v", err)
	}
}
