package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/memstore"
)

// A program makes another, starts it, and finds out that the second start changes nothing. With a real etcd, the
// first lines are client.Open(ctx, client.Config{...}).
func Example() {
	ctx := context.Background()
	server := memstore.New(memstore.Options{})
	defer server.Close()
	kv := server.Client("example")
	defer kv.Close()
	c := client.New(kv, store.NewKeys(""), "ann@desk")

	p := client.Program("worker", "/opt/worker --queue payments")
	p.Autostart = false
	p.Machines = []string{"zone=a"}
	id, err := c.Create(ctx, p)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("made", strings.Split(id, ":")[0])

	changed, err := c.Start(ctx, id)
	fmt.Println("start:", changed, err)
	changed, err = c.Start(ctx, id)
	fmt.Println("start again:", changed, err)

	state, err := c.Get(ctx, id)
	fmt.Println(state.Processes[0].State, err)

	p.Name, p.TouchTimeout = "other", 1
	_, err = c.Create(ctx, p)
	var invalid *spec.FieldError
	fmt.Println("invalid:", errors.As(err, &invalid) && invalid.Field == "touch_timeout")

	changed, err = c.Remove(ctx, id)
	fmt.Println("remove:", changed, err)
	_, err = c.Start(ctx, id)
	fmt.Println("gone:", errors.Is(err, client.ErrNotFound))
	// Output:
	// made worker
	// start: true <nil>
	// start again: false <nil>
	// STARTING <nil>
	// invalid: true
	// remove: true <nil>
	// gone: true
}
