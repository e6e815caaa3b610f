package sentences

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/store"
)

// names are the JSON names of strings that are no sentences: they name something, or are what the user wrote.
var names = strings.Fields(`machine token instance spec failed machines by to name process version keeper_version api fingerprint incarnation containment
	addresses labels host hostname http id boot_id signal stdout_log stderr_log group program stopped_by`)

// TestEveryStringOfTheStoreIsASentenceOrAName: a new one must be put on one side, and where it is a sentence on which
// somebody would branch it needs a fact beside it. Strings with a type of their own are facts.
func TestEveryStringOfTheStoreIsASentenceOrAName(t *testing.T) {
	for _, v := range []any{api.Owner{}, api.Status{}, api.Intent{}, api.Touch{}, api.MachineInfo{}, api.Alive{}, api.Cordon{},
		api.ConfirmDead{}, api.HistoryEntry{}, api.Controller{}, api.LoadRecord{}} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if f.Anonymous || !holdsStrings(f.Type) {
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if slices.Contains(Fields, name) == slices.Contains(names, name) {
				t.Errorf("%T.%s: is %q a sentence or a name?", v, f.Name, name)
			}
		}
	}
}

// holdsStrings reports whether a type holds strings that are no type of their own.
func holdsStrings(of reflect.Type) bool {
	switch of.Kind() {
	case reflect.String:
		return of == reflect.TypeFor[string]()
	case reflect.Slice, reflect.Map:
		return holdsStrings(of.Elem())
	}
	return false
}

func TestOnlySentencesAreRewritten(t *testing.T) {
	was := api.Owner{Machine: "m1", Token: 1<<62 + 1, Reason: "ran there last", Rejected: map[string]string{"m2": "cordoned"},
		WaitingFor: api.WaitingForMachine, Waiting: "no machine can take it", Failed: []string{"m3"}}
	rewritten := Rewrite(store.Encode(was), func() string { return "x" })
	now, err := store.Decode[api.Owner](store.Entry{Value: rewritten})
	if err != nil {
		t.Fatal(err)
	}
	want := was
	want.Reason, want.Rejected, want.Waiting = "x", map[string]string{"m2": "x"}, "x"
	want.Rest = now.Rest // the sentences that an owner does not have
	if !reflect.DeepEqual(now, want) {
		t.Errorf("%+v, want %+v", now, want)
	}
}
