package daemoncmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/pkg/swept"
)

// KeepFiles has what is removed of the state directory made anew until ctx ends: the pid file, by which the daemon is found, and
// more. The log goes on in the new directory. Told hears a sentence for whoever asks how the daemon is.
func (p *Running) KeepFiles(ctx context.Context, told func(string), more ...swept.File) {
	dir, _ := p.daemon.Home(p.Config)
	files := append([]swept.File{{Path: p.daemon.PIDFile(p.Config), Intact: p.Lock.Intact, Renew: p.Lock.Renew}}, more...)
	err := swept.Keep(ctx, files, func(path string, err error) {
		if err := errors.Join(p.reopen(), statedir.Keep(dir)); err != nil {
			p.Log.Warn("the state directory is not whole", zap.Error(err))
		}
		if err != nil {
			p.Log.Error("a file of this daemon was removed, and cannot be recreated yet", zap.String("file", path), zap.Error(err))
			told(fmt.Sprintf("%s was removed, and cannot be recreated yet: %v", path, err))
			return
		}
		p.Log.Warn("a file of this daemon was removed, and was recreated", zap.String("file", path))
		told(fmt.Sprintf("files in %s were removed at %s; what this daemon needs was recreated", dir, time.Now().Format(time.RFC3339)))
	})
	if err != nil {
		p.Log.Warn("the state directory cannot be watched for removed files", zap.Error(err))
	}
}

// Warnings are what people should know of a daemon that works all the same, the newest of each kind. The zero value has none.
type Warnings struct {
	mu  sync.Mutex // guards all
	all map[string]string
}

// Set sets the warning of a kind; "" is none.
func (w *Warnings) Set(kind, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[string]string{}
	}
	w.all[kind] = text
}

// String is all of them in one line.
func (w *Warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var texts []string
	for _, kind := range slices.Sorted(maps.Keys(w.all)) {
		if text := w.all[kind]; text != "" {
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}
