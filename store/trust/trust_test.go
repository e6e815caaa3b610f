package trust

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

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

// publishing runs Publish of d1 until the test's bubble ends.
func publishing(t *testing.T, kv store.KV, log *zap.Logger) (changes chan<- api.Controller) {
	t.Helper()
	changed := make(chan api.Controller)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Publish(ctx, kv, keys, api.Controller{ID: "d1", Host: "h1", Fingerprint: "f1"}, changed, clock.Go{}, log)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Publish ended with %v", err)
		}
	})
	return changed
}

func TestControllerWhoseAddressChangesPublishesTheNewOne(t *testing.T) {
	inBubble(t, func(t *testing.T, server *memstore.Server, kv *memstore.Client) {
		core, logged := observer.New(zapcore.ErrorLevel)
		changes := publishing(t, kv, zap.New(core))
		for _, addr := range []string{"10.0.0.1:3378", "10.0.0.2:3378", "10.0.0.1:3378"} {
			changes <- api.Controller{ID: "d1", Host: "h1", Fingerprint: "f1", HTTP: addr}
			synctest.Wait()
			if e := server.Entries(keys.Controller("d1")); len(e) != 1 || !strings.Contains(string(e[0].Value), addr) {
				t.Errorf("at %s there is %v", addr, e)
			}
		}
		kv.Cut() // the next change is written when etcd answers, and what stood there meanwhile is no namesake's
		changes <- api.Controller{ID: "d1", Host: "h1", Fingerprint: "f1", HTTP: "10.0.0.3:3378"}
		time.Sleep(time.Minute)
		kv.Heal()
		time.Sleep(time.Minute)
		if e := server.Entries(keys.Controller("d1")); len(e) != 1 || !strings.Contains(string(e[0].Value), "10.0.0.3") {
			t.Errorf("after an outage there is %v", e)
		}
		if logged.Len() > 0 {
			t.Errorf("the log says %v", logged.All())
		}
	})
}

func TestControllerStaysPublishedWhateverHappens(t *testing.T) {
	inBubble(t, func(t *testing.T, server *memstore.Server, kv *memstore.Client) {
		put(t, kv, controller("d1", "of an earlier life"))
		publishing(t, kv, zap.NewNop())
		is := func(when string) {
			t.Helper()
			synctest.Wait()
			e := server.Entries(keys.Controller("d1"))
			if len(e) != 1 || !strings.Contains(string(e[0].Value), `"fingerprint":"f1"`) {
				t.Errorf("%s there is %v", when, e)
			}
		}
		is("at first")
		other := server.Client("ctl")
		defer other.Close()
		put(t, other, store.Delete(keys.Controller("d1")))
		is("after it was deleted")
		kv.Cut()
		time.Sleep(time.Minute)
		put(t, other, store.Delete(keys.Controller("d1")))
		kv.Heal()
		time.Sleep(time.Minute)
		is("after it was deleted behind a cut")
		rev := server.Rev()
		time.Sleep(time.Hour)
		if server.Rev() != rev {
			t.Error("an idle hour wrote something")
		}
	})
}

func TestNamesakeIsToldOfAndNotFought(t *testing.T) {
	inBubble(t, func(t *testing.T, server *memstore.Server, kv *memstore.Client) {
		core, logged := observer.New(zapcore.ErrorLevel)
		publishing(t, kv, zap.New(core))
		synctest.Wait()
		put(t, kv, controller("d1", "of another"))
		rev := server.Rev()
		time.Sleep(time.Minute)
		if server.Rev() != rev {
			t.Error("the entry of the other was overwritten")
		}
		if logged.FilterMessageSnippet("same id").Len() == 0 {
			t.Errorf("the log says %v", logged.All())
		}
	})
}
