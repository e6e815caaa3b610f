package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/pkg/api"
)

// stored are the types of all values in the store.
var stored = []reflect.Type{
	reflect.TypeFor[api.Program](), reflect.TypeFor[api.Intent](), reflect.TypeFor[api.Owner](), reflect.TypeFor[api.Losses](),
	reflect.TypeFor[api.Trouble](), reflect.TypeFor[api.Schema](), reflect.TypeFor[api.Held](), reflect.TypeFor[api.MachineInfo](),
	reflect.TypeFor[api.Alive](), reflect.TypeFor[api.Seen](), reflect.TypeFor[api.Touch](), reflect.TypeFor[api.Controller](),
	reflect.TypeFor[api.Leader](), reflect.TypeFor[api.Cordon](), reflect.TypeFor[api.ConfirmDead](), reflect.TypeFor[api.LoadRecord](),
	reflect.TypeFor[api.HistoryEntry](),
}

// replacedWhole are those that are written as a whole by the one who knows all that they say, so that what a newer version wrote is not
// true of them any more.
var replacedWhole = map[reflect.Type]string{
	reflect.TypeFor[api.Observed]():     "in a Status, whose Rest is that of both",
	reflect.TypeFor[api.Restored]():     "one acceptance, never changed",
	reflect.TypeFor[api.Held]():         "what an agent reports; placement and status in it are put back",
	reflect.TypeFor[api.MachineInfo]():  "an agent tells of itself; what it tells of earlier keepers is kept",
	reflect.TypeFor[api.Alive]():        "an agent tells of itself",
	reflect.TypeFor[api.Seen]():         "a daemon tells of itself",
	reflect.TypeFor[api.Touch]():        "an agent, of the run that it starts",
	reflect.TypeFor[api.Controller]():   "a controller tells of itself",
	reflect.TypeFor[api.Leader]():       "the newest leader",
	reflect.TypeFor[api.Cordon]():       "what a user asks for last",
	reflect.TypeFor[api.ConfirmDead]():  "what a user vouches for last",
	reflect.TypeFor[api.LoadRecord]():   "the load that is under way",
	reflect.TypeFor[api.HistoryEntry](): "never changed",
}

// Of each type that stands in the store it is known whether a newer version's members are kept, and that holds for the types in it.
func TestEveryStoredTypeKeepsWhatItDoesNotKnowOrIsReplacedWhole(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(ty reflect.Type) {
		switch ty.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(ty.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if seen[ty] || ty == reflect.TypeFor[time.Time]() {
			return
		}
		seen[ty] = true
		if shapeOf(ty).rest == nil && replacedWhole[ty] == "" {
			t.Errorf("%v has no api.Rest, and nobody says why", ty)
		}
		for i := range ty.NumField() {
			look(ty.Field(i).Type)
		}
	}
	for _, ty := range stored {
		look(ty)
	}
}

// sow puts members that no version knows into every object that keeps them.
func sow(t *rapid.T, ty reflect.Type, tree any) {
	switch ty.Kind() {
	case reflect.Pointer:
		sow(t, ty.Elem(), tree)
	case reflect.Slice:
		for _, one := range tree.([]any) {
			sow(t, ty.Elem(), one)
		}
	case reflect.Map:
		for _, one := range tree.(map[string]any) {
			sow(t, ty.Elem(), one)
		}
	case reflect.Struct:
		s, members := shapeOf(ty), tree.(map[string]any)
		for name, index := range s.inside {
			if members[name] != nil {
				sow(t, ty.FieldByIndex(index).Type, members[name])
			}
		}
		if s.rest == nil {
			return
		}
		for range rapid.IntRange(0, 3).Draw(t, "how many") {
			name := rapid.StringMatching("new_[a-z<]{1,8}").Draw(t, "name")
			text := rapid.SampledFrom([]string{`1`, `9007199254740993`, `"a <b>"`, `null`, `[1,{"x":2}]`, `{"deep":{"er":true}}`}).Draw(t, "value")
			members[name] = json.RawMessage(text)
		}
	}
}

// sample is a value of a type in which nothing is empty, as JSON.
func sample(t *testing.T, ty reflect.Type) []byte {
	t.Helper()
	v := reflect.New(ty).Elem()
	var fill func(reflect.Value)
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString("text")
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(api.Running)) // a number that is a state, too
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(v.Index(i))
			}
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			one := reflect.New(v.Type().Elem()).Elem()
			fill(one)
			v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), one)
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				v.Set(reflect.ValueOf(time.Unix(1e9, 0).UTC()))
				return
			}
			for i := range v.NumField() {
				if v.Type().Field(i).Type != restType {
					fill(v.Field(i))
				}
			}
		}
	}
	fill(v)
	b, err := json.Marshal(v.Interface())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnOlderVersionKeepsWhatItDoesNotKnow(t *testing.T) {
	keeps[api.Program](t)
	keeps[api.Intent](t)
	keeps[api.Owner](t)
	keeps[api.Losses](t)
	keeps[api.Trouble](t)
	keeps[api.Schema](t)
	keeps[api.Held](t)
	keeps[api.MachineInfo](t)
	keeps[api.Placement](t)
	keeps[api.Status](t)
}

func keeps[T any](t *testing.T) {
	ty := reflect.TypeFor[T]()
	t.Run(ty.Name(), func(t *testing.T) {
		text := sample(t, ty)
		rapid.Check(t, func(t *rapid.T) {
			var tree map[string]any
			d := json.NewDecoder(strings.NewReader(string(text)))
			d.UseNumber()
			if err := d.Decode(&tree); err != nil {
				t.Fatal(err)
			}
			sow(t, ty, tree)
			written, err := json.Marshal(tree)
			if err != nil {
				t.Fatal(err)
			}
			v, err := Decode[T](Entry{Key: "k", Value: written})
			if err != nil {
				t.Fatal(err)
			}
			if got := plain(t, Encode(v)); got != plain(t, written) {
				t.Fatalf("written back as\n%s\nit was\n%s", got, plain(t, written))
			}
			again, err := Decode[T](Entry{Key: "k", Value: Encode(v)})
			if err != nil || !reflect.DeepEqual(again, v) {
				t.Fatalf("read again it is\n%+v\nit was\n%+v (%v)", again, v, err)
			}
		})
	})
}

// plain is JSON in one order.
func plain(t *rapid.T, text []byte) string {
	var tree any
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWhatANewerVersionSaysOfAProgramReachesItsProcesses(t *testing.T) {
	p, err := Decode[api.Program](Entry{Key: "k", Value: []byte(`{"name":"p","command":"c","new_setting":[1]}`)})
	if err != nil {
		t.Fatal(err)
	}
	pl := api.Placement{Process: api.Process{Group: "p", Name: "p", Settings: p.Settings}}
	if text := string(Encode(pl)); !strings.Contains(text, `"new_setting":[1]`) {
		t.Error(text)
	}
}
