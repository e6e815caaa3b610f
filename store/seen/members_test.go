package seen_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/seen"
)

// cutOffMember adds a member that has campaigned alone for a while.
type cutOffMember struct{ store.KV }

func (k cutOffMember) Members(ctx context.Context) []store.Member {
	return append(k.KV.Members(ctx), store.Member{Endpoint: "cut off", Version: "3.4.23", Rev: 1, Term: 1000})
}

func TestTermOfACutOffMemberDoesNotMakeTheOthersSeemBehind(t *testing.T) {
	server := memstore.New(memstore.Options{})
	t.Cleanup(server.Close)
	memory, err := seen.Open(filepath.Join(t.TempDir(), "seen"), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = memory.Close() })
	kv := seen.Guard(cutOffMember{server.Client("a")}, memory)
	kv.Members(t.Context())
	if _, err := kv.Range(t.Context(), store.Range{Key: "/a"}); err != nil {
		t.Error(err)
	}
}
