package e2e

import (
	"context"
	"strings"
	"time"

	"github.com/distsuper/distsuper/store"
)

// all reads every key.
func (f *fixture) all() store.RangeResult {
	f.t.Helper()
	res, err := f.Client.KV().Range(f.ctx, store.Range{Key: f.Client.Keys().Root(), Prefix: true})
	if err != nil {
		f.t.Fatal(err)
	}
	return res
}

// keysAbout are the keys that name a program or one of its processes; history may outlive them.
func (f *fixture) keysAbout(program string) []string {
	f.t.Helper()
	keys := f.Client.Keys()
	var found []string
	for _, e := range f.all().Entries {
		if strings.HasPrefix(e.Key, keys.Histories()) {
			continue
		}
		last := e.Key[strings.LastIndexByte(e.Key, '/')+1:]
		if last == program || strings.HasPrefix(last, program+":") {
			found = append(found, e.Key)
		}
	}
	return found
}

// watchStore sees every change below our prefix for a time, and tells the keys.
func (f *fixture) watchStore(rev int64, d time.Duration) []string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.ctx, d)
	defer cancel()
	var changed []string
	for ctx.Err() == nil { // a watch that is silent for long is given up by the store
		for r := range f.Client.KV().Watch(ctx, store.Below(f.Client.Keys().Root()), rev).C() {
			for _, e := range r.Changes {
				changed = append(changed, e.Entry.Key)
			}
			rev = r.Rev + 1
		}
	}
	return changed
}
