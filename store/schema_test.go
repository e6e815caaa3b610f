package store_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

func newStore(t *testing.T) (*memstore.Server, store.KV, store.Keys) {
	t.Helper()
	s := memstore.New(memstore.Options{})
	t.Cleanup(s.Close)
	return s, s.Client("c"), store.NewKeys("")
}

func mustInit(t *testing.T, kv store.KV, keys store.Keys) {
	t.Helper()
	if created, err := store.Init(t.Context(), kv, keys, "ann@host"); !created || err != nil {
		t.Fatalf("init: %v, %v", created, err)
	}
}

func TestInitMakesASchemaAndAKeyPairOnce(t *testing.T) {
	s, kv, keys := newStore(t)
	if err := store.CheckSchema(t.Context(), kv, keys); !errors.Is(err, store.ErrNoSchema) || !strings.Contains(err.Error(), "distsuperctl init db") {
		t.Errorf("before init: %v", err)
	}
	mustInit(t, kv, keys)
	if err := store.CheckSchema(t.Context(), kv, keys); err != nil {
		t.Error(err)
	}
	rev := s.Rev()
	if created, err := store.Init(t.Context(), kv, keys, "bob@host"); created || err != nil || s.Rev() != rev {
		t.Errorf("second init: created %v, %v, revision %d after %d", created, err, s.Rev(), rev)
	}
	public, _ := pem.Decode(s.Entries(keys.PublicKey())[0].Value)
	private, _ := pem.Decode(s.Entries(keys.SigningKey())[0].Value)
	pub, err := x509.ParsePKIXPublicKey(public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	priv, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(pub.(ed25519.PublicKey), []byte("m"), ed25519.Sign(priv.(ed25519.PrivateKey), []byte("m"))) {
		t.Error("the two keys are not a pair")
	}
}

func TestInitWhoseAnswerWasLostMayBeRepeated(t *testing.T) {
	s, kv, keys := newStore(t)
	s.Next(memstore.LoseAnswer, nil)
	if _, err := store.Init(t.Context(), kv, keys, "ann@host"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatal(err)
	}
	if created, err := store.Init(t.Context(), kv, keys, "ann@host"); created || err != nil {
		t.Errorf("repeated: %v, %v", created, err)
	}
}

func TestInitKeepsTheKeyPairWhenOnlyTheSchemaIsMissing(t *testing.T) {
	s, kv, keys := newStore(t)
	mustInit(t, kv, keys)
	rev := s.Entries(keys.SigningKey())[0].ModRev
	write(t, s, store.Delete(keys.Schema()))
	mustInit(t, kv, keys)
	if got := s.Entries(keys.SigningKey())[0].ModRev; got != rev {
		t.Error("the signing key was replaced")
	}
	write(t, s, store.Delete(keys.Schema()), store.Delete(keys.PublicKey()))
	if _, err := store.Init(t.Context(), kv, keys, "ann@host"); err == nil || !strings.Contains(err.Error(), keys.PublicKey()) {
		t.Errorf("half a key pair: %v", err)
	}
}

func TestCheckSchemaRefusesANewerOneAndNamesBoth(t *testing.T) {
	s, kv, keys := newStore(t)
	write(t, s, store.Put(keys.Schema(), store.Encode(api.Schema{Version: 7})))
	err := store.CheckSchema(t.Context(), kv, keys)
	if err == nil || !strings.Contains(err.Error(), "schema 7") || !strings.Contains(err.Error(), fmt.Sprintf("schema %d", api.SchemaVersion)) {
		t.Errorf("a newer schema: %v", err)
	}
	if _, err := store.Init(t.Context(), kv, keys, "ann@host"); err == nil {
		t.Error("init accepts a newer schema")
	}
	for _, value := range []string{"no json", `{"version":0}`} {
		write(t, s, store.Put(keys.Schema(), []byte(value)))
		if err := store.CheckSchema(t.Context(), kv, keys); err == nil {
			t.Errorf("schema %s is accepted", value)
		}
	}
}

func TestDropRefusesWhileAnythingLivesAndNamesIt(t *testing.T) {
	s, kv, keys := newStore(t)
	mustInit(t, kv, keys)
	write(t, s, store.Put(keys.Info("m1"), nil), store.Put(keys.Alive("m1"), nil), store.Put(keys.Touch("m2", "web:1"), nil))
	rev := s.Rev()
	err := store.Drop(t.Context(), kv, keys)
	var used *store.InUseError
	if !errors.As(err, &used) || len(used.Machines) != 1 || used.Machines[0] != "m1" || len(used.Touches) != 1 || used.Touches[0] != "web:1 on m2" {
		t.Fatalf("drop: %v", err)
	}
	if !strings.Contains(err.Error(), "m1") || !strings.Contains(err.Error(), "web:1 on m2") || s.Rev() != rev {
		t.Errorf("drop: %v; revision %d after %d", err, s.Rev(), rev)
	}
	write(t, s, store.Delete(keys.Alive("m1")), store.Delete(keys.Touch("m2", "web:1")))
	if err := store.Drop(t.Context(), kv, keys); err != nil {
		t.Fatal(err)
	}
	if left := s.Entries("/"); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestDropSeesAMachineThatComesMeanwhile(t *testing.T) {
	for n, late := range []string{"m050", "new"} { // one that is known and one that is not
		s, kv, keys := newStore(t)
		for m := range 100 {
			write(t, s, store.Put(keys.Info(fmt.Sprintf("m%03d", m)), nil))
		}
		write(t, s, store.Put("/elsewhere", nil))
		s.Inject(func(c memstore.Call) memstore.Fault {
			if c.Client == "c" && c.Write() {
				s.Inject(nil)
				write(t, s, store.Put(keys.Alive(late), nil))
			}
			return memstore.Pass
		})
		var used *store.InUseError
		if err := store.Drop(t.Context(), kv, keys); !errors.As(err, &used) || used.Machines[0] != late {
			t.Errorf("case %d: %v, want that %s is live", n, err, late)
		}
		if len(s.Entries(keys.Alive(late))) != 1 {
			t.Errorf("case %d: the live machine was dropped", n)
		}
		write(t, s, store.Delete(keys.Alive(late)))
		if err := store.Drop(t.Context(), kv, keys); err != nil {
			t.Fatal(err)
		}
		if left := s.Entries("/"); len(left) != 1 || left[0].Key != "/elsewhere" {
			t.Errorf("case %d: left %v", n, left)
		}
	}
}
