package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/test/fleet"
	"github.com/distsuper/distsuper/test/witness"
)

// A stage is where one trial plays, and what was found there.
type stage struct {
	Dir     string // an empty folder
	Bin     string // the folder of the three binaries
	Witness string // the program that testifies
	// Away is how long etcd is away, in the trial of that name; 0 is short.
	Away time.Duration
	// Findings in the order in which they were made.
	Findings []finding
	Rows     []row
}

// A row is what a page says of one fault: it is a finding, too.
type row struct{ Fault, Promised, Measured string }

// row notes what was measured of a fault.
func (s *stage) row(fault, promised, measured string, held bool) {
	s.Rows = append(s.Rows, row{fault, promised, measured})
	s.found(promised, held, "%s", measured)
}

// A finding is one promise and what came of it.
type finding struct {
	Promised, Seen string
	Held           bool
}

// play runs a trial in the stage's folder.
func (s *stage) play(ctx context.Context, t trial) error {
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return err
	}
	return t.run(ctx, s)
}

// fleet starts one with a controller and so many machines in the stage's folder.
func (s *stage) fleet(ctx context.Context, machines int) (*fleet.Fleet, error) {
	return fleet.Start(ctx, fleet.Options{Dir: s.Dir, Bin: s.Bin, Witness: s.Witness, Controllers: 1, Machines: machines})
}

// found notes whether a promise held, and what was seen.
func (s *stage) found(promised string, held bool, seen string, args ...any) {
	s.Findings = append(s.Findings, finding{Promised: promised, Seen: fmt.Sprintf(seen, args...), Held: held})
}

// once notes whether every process of the fleet ran at most once at any time, by the processes' own testimony.
func (s *stage) once(f *fleet.Fleet) error {
	copies, err := f.Copies()
	if err != nil {
		return err
	}
	most, two := witness.MaxCopies(copies)
	seen := fmt.Sprintf("at most %d at once, of %d copies", most, len(copies))
	if most > 1 {
		seen += fmt.Sprintf("; together: %+v", two)
	}
	s.found("nothing runs twice at once", most == 1, "%s", seen)
	return nil
}

// held reports whether there were promises, and all of them held.
func (s *stage) held() bool {
	return len(s.Findings) > 0 && !slices.ContainsFunc(s.Findings, func(f finding) bool { return !f.Held })
}

// table is what was found, for people and for a page.
func (s *stage) table() string {
	var b strings.Builder
	b.WriteString("| promised | seen | held |\n|---|---|---|\n")
	for _, f := range s.Findings {
		held := "yes"
		if !f.Held {
			held = "NO"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", f.Promised, strings.ReplaceAll(f.Seen, "\n", " "), held)
	}
	return b.String()
}

// rowTable is the table of rows, for a page.
func rowTable(rows []row) string {
	var b strings.Builder
	b.WriteString("| fault | promised | measured |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.Fault, r.Promised, strings.ReplaceAll(r.Measured, "\n", " "))
	}
	return b.String()
}
