package keeper

import (
	"encoding/json"
	"slices"

	"github.com/distsuper/distsuper/pkg/promise"
)

// Promises is a promise.Memory as an agent wrote it: what this version does not know of it is kept for the next agent, which may
// be a newer one. By a Memory of another version nothing is held.
type Promises struct {
	promise.Memory
	text json.RawMessage // as it was read; nil when it was made here
}

// PromisesOf is a memory of this version.
func PromisesOf(m promise.Memory) Promises { return Promises{Memory: m} }

// IsZero reports whether there is nothing.
func (p Promises) IsZero() bool { return p.text == nil && p.Version == 0 }

// MarshalJSON implements json.Marshaler.
func (p Promises) MarshalJSON() ([]byte, error) {
	if p.text != nil {
		return p.text, nil
	}
	return json.Marshal(p.Memory)
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Promises) UnmarshalJSON(text []byte) error {
	var only struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(text, &only); err != nil {
		return err
	}
	*p = Promises{Memory: promise.Memory{Version: only.Version}, text: slices.Clone(text)}
	if only.Version != promise.Version {
		return nil
	}
	return json.Unmarshal(text, &p.Memory)
}
