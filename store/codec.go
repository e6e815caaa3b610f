package store

import (
	"encoding/json"
	"fmt"
)

// Encode writes a value as the one-line JSON that stands in the store.
func Encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: encode %T: %v", v, err)) // the types of package api always encode
	}
	return b
}

// Decode reads the value of an entry; the error names the key.
func Decode[T any](e Entry) (T, error) {
	var v T
	if err := json.Unmarshal(e.Value, &v); err != nil {
		return v, fmt.Errorf("%s: %w", e.Key, err)
	}
	return v, nil
}
