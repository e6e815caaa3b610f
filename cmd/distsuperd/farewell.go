package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store/embedded"
)

// farewellTime is the most that the end of distsuperd waits for machines to ask for their promises.
const farewellTime = 5 * time.Second

// farewell promises every machine that its processes are left alone while this host is away: nobody else is there to promise it, and whether
// etcd goes, too, is known only when it is too late, as at the shutdown of the host. A promise that nobody needs costs nothing while etcd
// answers.
func (s *server) farewell(ctx context.Context) {
	select {
	case <-s.opened:
	default:
		return
	}
	if now, _ := s.member.Standing(); !s.Config.UsesEmbedded() || now.Entry == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, farewellTime)
	defer cancel()
	f, err := s.member.Farewell(ctx, s.control.Held)
	switch {
	case errors.Is(err, member.ErrOthers):
	case err != nil:
		s.Log.Warn("machines could not be promised to be left alone while this host is away", zap.Error(err))
	case len(f.Missing) > 0:
		s.Log.Warn("some machines were not promised to be left alone while this host is away", zap.Strings("machines", f.Missing))
	case len(f.Machines) > 0:
		s.Log.Info("machines were promised to be left alone while this host is away", zap.Strings("machines", f.Machines))
	}
}

// endFarewell ends what the last life has promised for long, if its etcd goes on: an etcd that starts again has another raft term, by which
// machines and controllers know that both are back.
func (s *server) endFarewell(ctx context.Context) error {
	_, out, err := member.LastFarewell(promisesFile(s.Config))
	if err != nil || !out { // what cannot be read is told of later
		return nil
	}
	if !embedded.Running(s.Config.Controller.StateDir) {
		return nil
	}
	s.Log.Info("its etcd is started again: that ends the promises which were given to machines before the last end")
	return embedded.Stop(ctx, s.Config.Controller.StateDir)
}

// tellFarewell says what the distsuperd that was stopped since then has promised to machines, "" for nothing.
func tellFarewell(cfg *config.Config, since time.Time) string {
	f, _, err := member.LastFarewell(promisesFile(cfg))
	if err != nil || f == nil || f.At.Before(since) {
		return ""
	}
	var lines []string
	if len(f.Machines) > 0 {
		lines = append(lines, fmt.Sprintf("without etcd, the processes of %s run on for up to %v from now", strings.Join(f.Machines, ", "),
			min(promise.FarewellLength, cfg.Controller.MaxHold)))
	}
	if len(f.Missing) > 0 {
		lines = append(lines, fmt.Sprintf("without etcd, the processes of %s stop within touch_timeout: they did not ask to run on", strings.Join(f.Missing, ", ")))
	}
	return strings.Join(lines, "\n")
}
