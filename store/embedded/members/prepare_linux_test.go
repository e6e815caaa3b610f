package members

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
)

// A distsuperd that is restarted while it asks must not take its own haste for the silence of the others.
func TestWhoHasNoTimeToAskDoesNotStart(t *testing.T) {
	h, err := New(embedded.Config{StateDir: t.TempDir(), Name: "d1", Listen: "127.0.0.1:1", Peer: "127.0.0.1:2"}, nil, embedded.Authorities{},
		store.NewKeys(""), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.dir.Remember(embedded.Membership{ID: "1", Cluster: "c", Members: []embedded.Peer{
		{ID: "1", Peer: "https://127.0.0.1:2"}, {ID: "2", Endpoint: "https://127.0.0.1:3", Peer: "https://127.0.0.1:4"}}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Prepare(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("it may start: %v", err)
	}
}
