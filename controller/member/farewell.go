package member

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/trust"
)

// ErrOthers says that there are other controllers, who stay.
var ErrOthers = errors.New("other controllers are registered")

// Farewell is what machines were told before a controller left for a while.
type Farewell struct {
	At       time.Time `json:"at"`
	Machines []string  `json:"machines,omitempty"` // that were promised that their processes are left alone
	Missing  []string  `json:"missing,omitempty"`  // those that did not ask for it
}

// Leave has this controller promise every machine that asks for long that its runs are left alone, as it is about to leave for a while and
// etcd with it. With others beside this controller it is ErrOthers: these go on answering, and nothing is promised.
func (m *Member) Leave(ctx context.Context) error {
	seen, err := trust.ReadRegistered(ctx, m.o.KV, m.o.Keys)
	if err != nil {
		return fmt.Errorf("say farewell: %w", err)
	}
	if len(seen.Entries) != 1 || seen.Entries[0].Key != m.o.Keys.Controller(m.o.Self.ID) {
		return ErrOthers
	}
	now, err := m.o.KV.Txn(ctx, store.Txn{})
	if err != nil {
		return fmt.Errorf("say farewell: %w", err)
	}
	m.mu.Lock()
	m.grantor.Leave(now.Term)
	m.leaving = now.Term
	m.mu.Unlock()
	poke(m.wake)
	return nil
}

// Farewell is Leave, and ends when all have asked that held says, by their names, or with ctx.
func (m *Member) Farewell(ctx context.Context, held func() map[string][]promise.Name) (Farewell, error) {
	if err := m.Leave(ctx); err != nil {
		return Farewell{}, err
	}
	for {
		runs := held()
		m.mu.Lock()
		answered := m.answered
		m.mu.Unlock()
		f := m.Given(runs)
		if len(f.Missing) > 0 {
			select {
			case <-answered:
				continue
			case <-ctx.Done():
			}
		}
		return f, m.keep(f)
	}
}

// Given says who has long promises about all that it holds.
func (m *Member) Given(held map[string][]promise.Name) Farewell {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := Farewell{At: m.o.Clock.Wall().UTC()}
	for machine, names := range held {
		if slices.ContainsFunc(names, func(n promise.Name) bool { return !m.grantor.Gave(machine, n) }) {
			f.Missing = append(f.Missing, machine)
		} else {
			f.Machines = append(f.Machines, machine)
		}
	}
	slices.Sort(f.Machines)
	slices.Sort(f.Missing)
	return f
}

// keep writes it down for whoever asked for the end.
func (m *Member) keep(f Farewell) error {
	m.mu.Lock()
	m.farewell = &f
	m.mu.Unlock()
	return m.save()
}

// LastFarewell is what was written to a file by the last life, nil for none. Out: long promises may be out.
func LastFarewell(path string) (f *Farewell, out bool, err error) {
	found, err := load(ownDisk{}, path)
	return found.Farewell, len(found.Record.Long) > 0, err
}
