package engine

import (
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/keeper/engine/launch"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/token/page"
)

// run is what the loop holds of a run: its handles. What is decided about it is with the core.
type run struct {
	ref     keeper.Ref
	process api.Process
	stop    unix.Signal
	plan    *launch.Plan
	cage    contain.Cage
	place   *page.Place // where its processes read their deadlines

	pid   int    // of the main process, 0 when it is reaped
	pidfd int    // -1 without a main process
	tag   uint64 // of pidfd in the poller
	group int    // that the last main process led
	late  bool   // the main process has not execed yet, as far as it is known
	stdin *stdin
}

// close frees what the run has beside its processes.
func (r *run) close() {
	r.cage.Close()
	r.place.Free()
}

// mark is how the environment of a run's processes names it.
func (l *loop) mark(r *run) contain.Mark {
	return contain.NewMark(l.engine.hello.Instance, r.ref.ID, r.ref.Token)
}

// processField is the log field of a run.
func processField(ref keeper.Ref) zap.Field { return zap.String("process", ref.ID) }
