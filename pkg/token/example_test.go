package token_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/distsuper/distsuper/pkg/token"
)

// A worker takes jobs for as long as it surely is the only one, and begins none for which the time does not suffice.
func Example() {
	t, err := token.FromEnvironment()
	if errors.Is(err, token.ErrNone) {
		fmt.Println("run by hand, so nobody else counts")
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := t.Context(context.Background())
	defer cancel()
	for ctx.Err() == nil {
		job, cancel := context.WithDeadline(ctx, t.MayActUntil())
		if time.Until(t.MayActUntil()) > time.Second {
			work(job, t.Number()) // the other side refuses a number below the highest that it knows
		}
		cancel()
	}
	log.Print(context.Cause(ctx)) // what is open can still be closed

	// Output: run by hand, so nobody else counts
}

func work(context.Context, int64) {}
