package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/store"
)

// ID is the id of a program that was made at a revision.
func ID(name string, created int64) string { return name + ":" + strconv.FormatInt(created, 10) }

// splitRef takes a name or an id apart; created is 0 for a name, which has no ":" in it.
func splitRef(ref string) (name string, created int64, err error) {
	name, number, isID := strings.Cut(ref, ":")
	if !isID {
		return ref, 0, nil
	}
	created, err = strconv.ParseInt(number, 10, 64)
	if err != nil || created <= 0 {
		return "", 0, fmt.Errorf("program %q: neither a name nor an id (name:number): %w", ref, ErrNotFound)
	}
	return name, created, nil
}

// stored is a program as it stands in the store.
type stored struct {
	api.Program
	createRev, modRev int64
	processes         []api.Process
}

// program reads the program of a name or an id.
func (c *Client) program(ctx context.Context, ref string) (stored, error) {
	name, created, err := splitRef(ref)
	if err != nil {
		return stored{}, err
	}
	got, err := c.get(ctx, c.keys.Program(name))
	if err != nil {
		return stored{}, fmt.Errorf("read program %s: %w", name, err)
	}
	if got[0] == nil || created != 0 && got[0].CreateRev != created {
		return stored{}, notFound("program", ref)
	}
	s, err := readProgram(*got[0])
	if err != nil {
		return s, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return s, nil
}

// errUnreadable says that the value of a program cannot be read, or makes no processes.
var errUnreadable = errors.New("the program cannot be read")

func readProgram(e store.Entry) (stored, error) {
	p, err := store.Decode[api.Program](e)
	if err != nil {
		return stored{}, err
	}
	s := stored{Program: p, createRev: e.CreateRev, modRev: e.ModRev}
	if s.processes, err = spec.Processes(p); err != nil {
		return s, fmt.Errorf("program %s: %w", p.Name, err)
	}
	return s, nil
}

// programs reads every program. One that cannot be read is named in broken, with the reason.
func (c *Client) programs(ctx context.Context) (list []stored, rev int64, broken map[string]string, err error) {
	res, err := c.kv.Range(ctx, store.Range{Key: c.keys.Programs(), Prefix: true})
	if err != nil {
		return nil, 0, nil, fmt.Errorf("read the programs: %w", err)
	}
	broken = map[string]string{}
	for _, e := range res.Entries {
		s, err := readProgram(e)
		if err != nil {
			if name, perr := c.keys.Parse(e.Key); perr == nil {
				broken[name.ID] = err.Error()
			}
			continue
		}
		list = append(list, s)
	}
	return list, res.Rev, broken, nil
}
