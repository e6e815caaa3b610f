package solo

import (
	"reflect"
	"testing"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// What is right only together is said together: a component that does not know that it is alone would stop or fence what runs.
func TestEveryComponentKnowsThatItIsAlone(t *testing.T) {
	c := &components{settings: &Settings{Config: &config.Config{}}, log: zap.NewNop(), keys: store.NewKeys("/")}
	c.mem = memstore.New(c.storeOptions())
	defer c.mem.Close()
	c.kv = c.mem.Client("solo")
	for _, options := range []any{c.keeperOptions(), c.storeOptions(), c.controllerOptions(mtls.Identity{}), c.agentOptions(mtls.Identity{})} {
		if got := reflect.ValueOf(options).FieldByName("Mode").Interface(); got != mode.Alone {
			t.Errorf("%T says %v", options, got)
		}
	}
}
