package store

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
	"sync"

	"github.com/distsuper/distsuper/pkg/api"
)

// A shape is where a type has an api.Rest, and where the types that it is made of do.
type shape struct {
	carries bool            // it has one, or something in it has
	known   map[string]bool // members of a struct, in lower case as encoding/json compares them
	rest    []int           // index of its own, nil for none
	inside  map[string][]int
}

var (
	shapes   sync.Map // reflect.Type -> *shape
	restType = reflect.TypeFor[api.Rest]()
	ownJSON  = reflect.TypeFor[json.Unmarshaler]()
)

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		s.carries = shapeOf(t.Elem()).carries
	case reflect.Struct:
		if !reflect.PointerTo(t).Implements(ownJSON) {
			s.look(t)
		}
	}
	shapes.Store(t, s)
	return s
}

// look finds the members of a struct, those of embedded ones included.
func (s *shape) look(t reflect.Type) {
	s.known, s.inside = map[string]bool{}, map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Type == restType:
			s.rest, s.carries = f.Index, true
		case name == "-" || f.Anonymous && name == "":
		default:
			if name == "" {
				name = f.Name
			}
			s.known[strings.ToLower(name)] = true
			if shapeOf(f.Type).carries {
				s.inside[name], s.carries = f.Index, true
			}
		}
	}
}

// keepRest fills every api.Rest in a value that was read from a text.
func keepRest(text []byte, v reflect.Value) (err error) {
	if !shapeOf(v.Type()).carries {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return keepRest(text, v.Elem())
		}
		return nil
	case reflect.Slice:
		var all []json.RawMessage
		err = json.Unmarshal(text, &all)
		for i := 0; err == nil && i < len(all); i++ {
			err = keepRest(all[i], v.Index(i))
		}
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	if v.Kind() == reflect.Struct {
		return keepOfStruct(all, v)
	}
	for each := v.MapRange(); err == nil && each.Next(); {
		value := reflect.New(v.Type().Elem()) // what is in a map cannot be set
		value.Elem().Set(each.Value())
		err = keepRest(all[each.Key().String()], value.Elem())
		v.SetMapIndex(each.Key(), value.Elem())
	}
	return err
}

func keepOfStruct(members map[string]json.RawMessage, v reflect.Value) error {
	s := shapeOf(v.Type())
	for name, index := range s.inside {
		if text, there := members[name]; there {
			if err := keepRest(text, v.FieldByIndex(index)); err != nil {
				return err
			}
		}
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return s.known[strings.ToLower(name)] })
	if s.rest == nil || len(members) == 0 {
		return nil
	}
	rest, err := json.Marshal(members)
	v.FieldByIndex(s.rest).SetString(string(rest))
	return err
}

// addRest adds what a value carries to its text.
func addRest(text []byte, v reflect.Value) ([]byte, error) {
	if !carriesRest(v) {
		return text, nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		return addRest(text, v.Elem())
	case reflect.Slice:
		var all []json.RawMessage
		err := json.Unmarshal(text, &all)
		for i := 0; err == nil && i < len(all); i++ {
			all[i], err = addRest(all[i], v.Index(i))
		}
		if err != nil {
			return nil, err
		}
		return json.Marshal(all)
	}
	var all map[string]json.RawMessage
	err := json.Unmarshal(text, &all)
	if v.Kind() == reflect.Map {
		for each := v.MapRange(); err == nil && each.Next(); {
			name := each.Key().String()
			all[name], err = addRest(all[name], each.Value())
		}
	} else if err == nil {
		err = addToStruct(all, v)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

func addToStruct(members map[string]json.RawMessage, v reflect.Value) (err error) {
	s := shapeOf(v.Type())
	for name, index := range s.inside {
		if text, there := members[name]; there && err == nil {
			members[name], err = addRest(text, v.FieldByIndex(index))
		}
	}
	if s.rest == nil || v.FieldByIndex(s.rest).Len() == 0 || err != nil {
		return err
	}
	var rest map[string]json.RawMessage
	err = json.Unmarshal([]byte(v.FieldByIndex(s.rest).String()), &rest)
	for name, text := range rest {
		if !s.known[strings.ToLower(name)] { // of a program, and known of a process
			members[name] = text
		}
	}
	return err
}

// carriesRest reports whether an api.Rest in a value has something.
func carriesRest(v reflect.Value) bool {
	if !v.IsValid() || !shapeOf(v.Type()).carries {
		return false
	}
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && carriesRest(v.Elem())
	case reflect.Slice:
		for i := range v.Len() {
			if carriesRest(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for each := v.MapRange(); each.Next(); {
			if carriesRest(each.Value()) {
				return true
			}
		}
	case reflect.Struct:
		s := shapeOf(v.Type())
		if s.rest != nil && v.FieldByIndex(s.rest).Len() > 0 {
			return true
		}
		for _, index := range s.inside {
			if carriesRest(v.FieldByIndex(index)) {
				return true
			}
		}
	}
	return false
}
