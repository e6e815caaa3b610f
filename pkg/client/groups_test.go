package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
)

// in makes a program a member of groups.
func in(names ...string) func(*api.Program) {
	return func(p *api.Program) {
		for _, n := range names {
			p.Groups = append(p.Groups, api.Group{Name: n, Priority: 999})
		}
	}
}

func TestRemovedGroupTakesItsProgramsUnlessTheyAreInOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.load(program("a", in("g")), program("b", in("g", "h")), program("c", nil))
		if err := w.c.RemoveGroup(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(w.keysBelow(keys.Programs()), " "); got != "b c" {
			t.Errorf("programs left: %s", got)
		}
		if got := strings.Join(w.keysBelow(keys.Intents()), " "); got != "c h:b" {
			t.Errorf("intents left: %s", got)
		}
		if err := w.c.RemoveGroup(t.Context(), "g"); !errors.Is(err, client.ErrNotFound) {
			t.Errorf("again: %v", err)
		}
	})
}
