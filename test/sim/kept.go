package sim

import (
	_ "embed"
	"encoding/json"
)

//go:embed kept.json
var keptJSON []byte

// Kept are the tales that are kept: each once broke a promise, or nearly did, as its Why says.
func Kept() []Tale {
	var all []Tale
	if err := json.Unmarshal(keptJSON, &all); err != nil {
		panic("sim: kept.json: " + err.Error())
	}
	return all
}
