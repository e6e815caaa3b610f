package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// Encode writes a value as the one-line JSON that stands in the store, with what its parts carry in an api.Rest.
func Encode(v any) []byte {
	b, err := json.Marshal(v)
	if err == nil {
		b, err = addRest(b, reflect.ValueOf(v))
	}
	if err != nil {
		panic(fmt.Sprintf("store: encode %T: %v", v, err)) // the types of package api always encode
	}
	return b
}

// Decode reads the value of an entry; the error names the key. Members that the type does not know are in its api.Rest, where it
// has one.
func Decode[T any](e Entry) (T, error) {
	if v, all := decodeKnown[T](e.Value); all {
		return v, nil
	}
	var v T
	err := json.Unmarshal(e.Value, &v)
	if err == nil {
		err = keepRest(e.Value, reflect.ValueOf(&v))
	}
	if err != nil {
		return v, fmt.Errorf("%s: %w", e.Key, err)
	}
	return v, nil
}

// decodeKnown reads a value of which every member is known, as nearly all are.
func decodeKnown[T any](text []byte) (v T, all bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&v)
	return v, err == nil && len(bytes.TrimSpace(text[d.InputOffset():])) == 0
}
