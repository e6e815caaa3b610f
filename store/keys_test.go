package store_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/store"
)

var oddNames = []string{
	"a", "a:b", "web:web_01", "a/b", "/", "//", ".", "..", "../..", "%", "%2F", "%41", "a%", "%zz", " ", "a b", "+", "?", "#", "&=", "~", "@m1",
	"\u00fc", "\u65e5\u672c\u8a9e", "\U0001f600", "e\u0301", "\x00", "\n", "\t", "\x7f", "\xff", "\xc3\x28", "info", "schema", "", "\\", `"`, "*", "[x]",
	strings.Repeat("x", 200), strings.Repeat("\u65e5", 66), strings.Repeat("%/", 100),
}

// built has every builder that takes names, with what Parse has to give back.
func built(k store.Keys, a, b string) map[string]store.Name {
	return map[string]store.Name{
		k.Load(a):                           {Kind: store.KindLoad, ID: a},
		k.Program(a):                        {Kind: store.KindProgram, ID: a},
		k.Intent(a):                         {Kind: store.KindIntent, ID: a},
		k.Owner(a):                          {Kind: store.KindOwner, ID: a},
		k.Controller(a):                     {Kind: store.KindController, ID: a},
		k.Info(a):                           {Kind: store.KindInfo, Machine: a},
		k.Alive(a):                          {Kind: store.KindAlive, Machine: a},
		k.Cordon(a):                         {Kind: store.KindCordon, Machine: a},
		k.Dead(a):                           {Kind: store.KindDead, Machine: a},
		k.Placement(a, b):                   {Kind: store.KindPlacement, Machine: a, ID: b},
		k.Touch(a, b):                       {Kind: store.KindTouch, Machine: a, ID: b},
		k.Status(a, b):                      {Kind: store.KindStatus, Machine: a, ID: b},
		k.HistoryEntry(store.Subject(a), b): {Kind: store.KindHistory, ID: a, Sub: b},
		k.Schema():                          {Kind: store.KindSchema},
		k.PublicKey():                       {Kind: store.KindPublicKey},
		k.SigningKey():                      {Kind: store.KindSigningKey},
		k.Leader():                          {Kind: store.KindLeader},
	}
}

const builders = 17

// checkKeys is the law of keys: what is built is one printable key below the prefix that comes back as it was.
func checkKeys(t interface{ Fatalf(string, ...any) }, prefix, a, b string) {
	k := store.NewKeys(prefix)
	keys := built(k, a, b)
	if len(keys) != builders {
		t.Fatalf("%q and %q: two builders give one key", a, b)
	}
	for key, want := range keys {
		if got, err := k.Parse(key); err != nil || got != want {
			t.Fatalf("%q: parsed %+v, %v; want %+v", key, got, err, want)
		}
		if got := k.Of(want); got != key {
			t.Fatalf("%+v: built %q, want %q", want, got, key)
		}
		rest, ok := strings.CutPrefix(key, k.Root())
		if !ok {
			t.Fatalf("%q is not below %q", key, k.Root())
		}
		for _, c := range rest {
			if c <= ' ' || c > '~' {
				t.Fatalf("%q has a character that is hard to read or type", key)
			}
		}
	}
	if !strings.HasPrefix(k.Touch(a, b), k.Touches(a)) || !strings.HasPrefix(k.Touches(a), k.Machine(a)) ||
		!strings.HasPrefix(k.HistoryEntry(store.Subject(a), b), k.History(store.Subject(a))) {
		t.Fatalf("%q and %q: a key is not below its prefix", a, b)
	}
	// Different names, different keys, and none below another one's prefix.
	if a != b && (k.Owner(a) == k.Owner(b) || strings.HasPrefix(k.Machine(a), k.Machine(b)) || strings.HasPrefix(k.History(store.Subject(a)), k.History(store.Subject(b)))) {
		t.Fatalf("%q and %q meet", a, b)
	}
}

func TestKeysBringOddNamesBack(t *testing.T) {
	for _, a := range oddNames {
		for _, b := range oddNames {
			checkKeys(t, "", a, b)
			checkKeys(t, "/other/place", a, b)
			checkKeys(t, "/", a, b)
		}
	}
}

func TestKeysBringAnyNameBack(t *testing.T) {
	name := rapid.OneOf(
		rapid.StringN(0, 200, -1),
		rapid.StringOfN(rapid.RuneFrom([]rune("%/:.2Fa ")), 0, 20, -1),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) }),
		rapid.SampledFrom(oddNames),
	)
	rapid.Check(t, func(t *rapid.T) {
		checkKeys(t, "", name.Draw(t, "a"), name.Draw(t, "b"))
	})
}

func FuzzKeysBringAnyNameBack(f *testing.F) {
	for _, name := range oddNames {
		f.Add(name, "b")
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkKeys(t, "", a, b) })
}

// FuzzParseTakesAnyKey: a key that others wrote makes an error or a name, never a panic.
func FuzzParseTakesAnyKey(f *testing.F) {
	f.Add("/distsuper/machines/m1/touch/a:b")
	f.Add("/distsuper/%zz")
	f.Add("/elsewhere")
	f.Fuzz(func(t *testing.T, key string) {
		name, err := store.NewKeys("").Parse(key)
		if err == nil && !strings.HasPrefix(key, store.DefaultPrefix) {
			t.Fatalf("%q is not ours and was parsed as %+v", key, name)
		}
	})
}

func TestKeysStayReadable(t *testing.T) {
	k := store.NewKeys("distsuper")
	for got, want := range map[string]string{
		k.Touch("m1.example.com", "web:web_01"): "/distsuper/machines/m1.example.com/touch/web:web_01",
		k.Owner("a/b"):                          "/distsuper/owners/a%2Fb",
		k.Owner("a%3Ab"):                        "/distsuper/owners/a%253Ab",
		k.Election():                            "/distsuper/election",
		store.NewKeys("").Schema():              "/distsuper/schema",
		store.NewKeys("/").Schema():             "/schema",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTheStateHasNeitherHistoryNorElection(t *testing.T) {
	k := store.NewKeys("")
	in := []string{k.Program("a"), k.Program("\u00ff"), k.Intent("0"), k.Owner("a"), k.Info("m"), k.Touch("m", "a"), k.PublicKey(), k.Load("file"), k.Leader()}
	out := []string{k.HistoryEntry("a", "1"), k.Election() + "/1", k.Controller("d1"), k.Schema(), "/distsuper0"}
	for _, key := range in {
		if !k.State().Has(key) {
			t.Errorf("%s is not of the state", key)
		}
	}
	for _, key := range out {
		if k.State().Has(key) {
			t.Errorf("%s is of the state", key)
		}
	}
}

func TestParseTellsForeignKeysApart(t *testing.T) {
	k := store.NewKeys("/distsuper/")
	for _, key := range []string{
		"/distsuper/new", "/distsuper/machines/m1", "/distsuper/machines/m1/new", "/distsuper/machines/m1/touch",
		"/distsuper/machines/m1/info/x", "/distsuper/machines/m1/new/x", "/distsuper/owners", "/distsuper/owners/a/b", "/distsuper/keys/new",
		"/distsuper/history/a", "/distsuper/election/694d", "/distsuper/",
	} {
		if name, err := k.Parse(key); err != nil || name.Kind != store.KindOther {
			t.Errorf("%s: %+v, %v; want KindOther", key, name, err)
		}
	}
	for _, key := range []string{"/elsewhere", "/distsupe", "", "/distsuper", "/distsuper/owners/%zz"} {
		if _, err := k.Parse(key); err == nil {
			t.Errorf("%s is accepted", key)
		}
	}
	if !utf8.ValidString(k.Owner("\xff")) {
		t.Error("a key of an invalid name is no valid text")
	}
}
