package keeperd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/logstream"
)

// service is the whole keeper.Keeper: the engine, and what the log collector answers.
type service struct {
	*engine.Engine
	logs *logs.Collector
	own  func() error // opens the keeper's own log anew
}

// upgradable is a service whose binary can be replaced.
type upgradable struct {
	service
	*upgrader
}

var _ keeper.Keeper = service{}

// Log opens a channel's log; that of a process nobody knows, and output that is thrown away, is ErrNotFound.
func (s service) Log(ctx context.Context, id, channel string, r logstream.Range) (*logstream.Stream, error) {
	if channel != "stdout" && channel != "stderr" {
		return nil, fmt.Errorf("log of %s: there is no channel %q, only stdout and stderr", id, channel)
	}
	stream, err := s.logs.Tail(ctx, id, channel, r)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", keeper.ErrNotFound, err)
	}
	return stream, err
}

// ClearLogs empties the logs of a process.
func (s service) ClearLogs(ctx context.Context, id string) error {
	run, known, err := s.run(ctx, id)
	if err != nil {
		return fmt.Errorf("clear the logs of %s: %w", id, err)
	}
	var files []string
	if known { // what was refused at its start has a file, too, and was never attached to it
		files = []string{run.StdoutLog, run.StderrLog}
	}
	err = s.logs.Clear(ctx, id, files...)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", keeper.ErrNotFound, err)
	}
	return err
}

// ReopenLogs opens all log files anew.
func (s service) ReopenLogs(ctx context.Context) error {
	return errors.Join(s.own(), s.logs.Reopen(ctx))
}

// RemoveLogs deletes the AUTO logs of a process that has no run.
func (s service) RemoveLogs(ctx context.Context, id string) error {
	_, known, err := s.run(ctx, id)
	if err == nil && known {
		err = keeper.ErrToken
	}
	if err != nil {
		return fmt.Errorf("remove the logs of %s: %w", id, err)
	}
	return s.logs.Remove(ctx, id)
}

// run finds the run of a process.
func (s service) run(ctx context.Context, id string) (run keeper.Run, known bool, err error) {
	now, err := s.Changes(ctx, 0)
	for _, r := range now.Runs {
		if r.ID == id {
			return r, true, err
		}
	}
	return run, false, err
}

// Of is the keeper that an engine and its log collector make, for a program that has it in its own process, with a
// log of its own.
func Of(e *engine.Engine, c *logs.Collector) keeper.Keeper {
	return service{e, c, func() error { return nil }}
}
