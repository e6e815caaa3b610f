package main

import (
	"context"

	"github.com/distsuper/distsuper/test/starve"
)

// starved takes the processors away from a fleet in which nothing is wrong.
func starved(ctx context.Context, s *stage) error {
	o := starve.Usual()
	o.Dir, o.Bin, o.Witness = s.Dir, s.Bin, s.Witness
	seen, err := starve.Run(ctx, o)
	if err != nil {
		return err
	}
	s.found("a healthy machine is never taken for dead", seen.Lost == 0, "%d lost at a load of %.0f", seen.Lost, seen.Load)
	s.found("a healthy process is not ended", seen.Fenced == 0, "%d fenced", seen.Fenced)
	s.found("a healthy process is not moved", seen.Moved == 0, "%d moved", seen.Moved)
	s.found("nothing runs twice at once", seen.Simultaneous == 1, "at most %d at once, of %d copies", seen.Simultaneous, seen.Copies)
	return nil
}
