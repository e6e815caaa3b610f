package keeper_test

import (
	"encoding/json"
	"testing"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/promise"
)

// What an agent of another version left is handed to the next one as it was, and holds nothing meanwhile.
func TestPromisesKeepWhatTheyDoNotKnow(t *testing.T) {
	for _, c := range []struct {
		name, text string
		held       bool
	}{
		{"a field more", `{"v":1,"set":{"revision":7,"read":{"boot":1,"raw":1},"controllers":[{"id":"c1","mood":"fine"}]},` +
			`"asks":[{"number":1,"sent":{"boot":1,"raw":1},"names":[{"process":"web","token":7}],"granted":[{"controller":"c1","ms":10000}]}],"more":[1,2]}`, true},
		{"another version", `{"v":2,"set":"all of them","asks":{"web":7}}`, false},
	} {
		var hello keeper.Hello
		if err := json.Unmarshal([]byte(`{"instance":"k1","promises":`+c.text+`}`), &hello); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, held := hello.Promises.Deadline(promise.Name{Process: "web", Token: 7}); held != c.held {
			t.Errorf("%s: held: %v", c.name, held)
		}
		if text, err := json.Marshal(hello.Promises); err != nil || string(text) != c.text {
			t.Errorf("%s: handed on as %s, %v", c.name, text, err)
		}
	}
	made := keeper.PromisesOf(promise.Memory{Version: promise.Version, Set: promise.Set{Revision: 3}})
	text, err := json.Marshal(made)
	var read keeper.Promises
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil || read.Set.Revision != 3 || read.Version != promise.Version || made.IsZero() {
		t.Errorf("%s is read as %+v, %v", text, read, err)
	}
	if text, err := json.Marshal(keeper.Hello{}); err != nil || json.Valid(text) && len(text) == 0 {
		t.Error(err)
	} else if err := json.Unmarshal(text, &keeper.Hello{}); err != nil {
		t.Errorf("a hello without promises: %v", err)
	}
}
