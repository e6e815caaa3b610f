package trust

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

var keys = store.NewKeys(store.DefaultPrefix)

// inBubble runs a test on a store in memory, in virtual time.
func inBubble(t *testing.T, test func(t *testing.T, server *memstore.Server, kv *memstore.Client)) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New(memstore.Options{})
		defer server.Close()
		kv := server.Client("d1")
		defer kv.Close()
		test(t, server, kv)
	})
}

func put(t *testing.T, kv store.KV, ops ...store.Op) {
	t.Helper()
	if _, err := kv.Txn(t.Context(), store.Txn{Then: ops}); err != nil {
		t.Fatal(err)
	}
}

func controller(id, fingerprint string) store.Op {
	return store.Put(keys.Controller(id), store.Encode(api.Controller{ID: id, Fingerprint: fingerprint}))
}

func known(t *testing.T, p *Pins, fingerprint string) bool {
	t.Helper()
	ok, err := p.Known(t.Context(), fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

func TestOnlyPublishedControllersAndTheDaemonItselfAreKnown(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memstore.Server, kv *memstore.Client) {
		put(t, kv, controller("d1", "f1"), store.Put(keys.Controller("broken"), []byte("{")),
			store.Put(keys.Info("m1"), store.Encode(api.MachineInfo{Name: "m1", Fingerprint: "agent"})))
		p := NewPins(kv, keys, "own", clock.Go{})
		for fingerprint, want := range map[string]bool{"f1": true, "own": true, "agent": false, "f2": false, "": false} {
			if got := known(t, p, fingerprint); got != want {
				t.Errorf("%q is known: %v, want %v", fingerprint, got, want)
			}
		}
	})
}

func TestRemovedControllerIsUnknownWithinASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memstore.Server, kv *memstore.Client) {
		put(t, kv, controller("d1", "f1"))
		p := NewPins(kv, keys, "own", clock.Go{})
		known(t, p, "f1")
		put(t, kv, store.Delete(keys.Controller("d1")), controller("d2", "f2"))
		time.Sleep(time.Second)
		if known(t, p, "f1") || !known(t, p, "f2") {
			t.Error("it still goes by what it read first")
		}
	})
}

func TestWhileEtcdIsSilentWhatWasReadLastCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memstore.Server, kv *memstore.Client) {
		put(t, kv, controller("d1", "f1"), store.Put(keys.PublicKey(), []byte("public")))
		p, late := NewPins(kv, keys, "own", clock.Go{}), NewPins(kv, keys, "own", clock.Go{})
		known(t, p, "f1")
		kv.Cut()
		time.Sleep(time.Hour)
		if !known(t, p, "f1") || known(t, p, "f2") {
			t.Error("a cut changed who is known")
		}
		if key, err := p.PublicKey(t.Context()); err != nil || string(key) != "public" {
			t.Errorf("the public key is %q, %v", key, err)
		}
		if _, err := late.Known(t.Context(), "f1"); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("who has read nothing says %v, want ErrUnavailable", err)
		}
	})
}

func TestWhoIsFollowedIsKnownWithoutAskingEtcd(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memstore.Server, kv *memstore.Client) {
		put(t, kv, controller("d1", "f1"))
		p := NewPins(kv, keys, "own", clock.Go{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			p.Follow(ctx, zap.NewNop())
			close(ended)
		}()
		synctest.Wait()
		put(t, kv, controller("d2", "f2"), store.Delete(keys.Controller("d1")))
		synctest.Wait()
		kv.Cut()
		time.Sleep(time.Hour)
		began := time.Now()
		if !known(t, p, "f2") {
			t.Error("a controller that was published before the cut is not known")
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("that took %v: the caller waits for a silent etcd", took)
		}
		began = time.Now()
		if known(t, p, "f1") || known(t, p, "f3") {
			t.Error("who was removed, or never published, is known")
		}
		if took := time.Since(began); took > 2*patience {
			t.Errorf("a stranger was let wait for %v", took)
		}
		cancel()
		<-ended
	})
}

func TestMintedCertificateIsBelievedByPinsOfTheSameStore(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memstore.Server, kv *memstore.Client) {
		if _, err := Mint(t.Context(), kv, keys, "ann@desk"); err == nil || !strings.Contains(err.Error(), "init db") {
			t.Errorf("without a signing key Mint says %v", err)
		}
		public, private, err := mtls.NewSigningKey()
		if err != nil {
			t.Fatal(err)
		}
		put(t, kv, store.Put(keys.SigningKey(), private), store.Put(keys.PublicKey(), public))
		cert, err := Mint(t.Context(), kv, keys, "ann@desk")
		if err != nil {
			t.Fatal(err)
		}
		if err := mtls.Trust(NewPins(kv, keys, "own", clock.Go{}), nil)(t.Context(), cert.Leaf); err != nil {
			t.Error(err)
		}
	})
}

func TestMachineIsReadOrSaidToBeNone(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *memstore.Server, kv *memstore.Client) {
		put(t, kv, store.Put(keys.Info("m1"), store.Encode(api.MachineInfo{Name: "m1", API: "a:1"})))
		if m, err := Machine(t.Context(), kv, keys, "m1"); err != nil || m.API != "a:1" {
			t.Errorf("m1 is %+v, %v", m, err)
		}
		if _, err := Machine(t.Context(), kv, keys, "m2"); !errors.Is(err, ErrNoMachine) {
			t.Errorf("m2 is %v", err)
		}
	})
}
