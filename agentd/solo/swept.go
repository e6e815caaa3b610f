package solo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/swept"
)

// keepFiles has what is removed of the runtime directory, and the pid file, made anew. Without them nobody could speak to the daemon.
func (s *Solo) keepFiles(ctx context.Context) {
	err := swept.Keep(ctx, s.files(), func(path string, err error) {
		if err != nil {
			s.log.Critical("%s was removed, and cannot be recreated yet: %v", path, err)
			return
		}
		s.log.Warn("%s was removed, and was recreated", path)
	})
	if err != nil {
		s.log.Logger().Debug("removals are not noticed", zap.Error(err))
	}
}

// files are what has to stay, first what keeps another daemon out.
func (s *Solo) files() []swept.File {
	files := []swept.File{{Path: s.runtime, Intact: s.runtimeIntact, Renew: s.renewRuntime},
		{Path: daemon.PIDFile(s.runtime, "solo"), Intact: s.lock.Intact, Renew: s.lock.Renew}}
	files = append(files, s.components.engine.Files()...)
	for _, l := range s.components.sockets {
		files = append(files, swept.File{Path: l.Addr().String(), Intact: l.Current, Renew: l.Renew})
	}
	if s.pidfile {
		files = append(files, pidfile(s.settings.Pidfile))
	}
	return files
}

// pidfile is made again only where nothing is: its directory may be another user's, who could put a link there.
func pidfile(path string) swept.File {
	return swept.File{Path: path, Intact: func() bool {
		_, err := os.Lstat(path) // another's stays
		return err == nil
	}, Renew: func() error {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
		return errors.Join(err, f.Close())
	}}
}

func (s *Solo) runtimeIntact() bool {
	_, err := os.Stat(s.runtime)
	return err == nil
}

// renewRuntime makes the runtime directory anew. A daemon that has become another user may not.
func (s *Solo) renewRuntime() error {
	if s.runtime != config.SoloRuntime(s.settings.File, os.Geteuid()) {
		return fmt.Errorf("only root may make it; start %s again when its programs can be stopped (kill %d)", Program, os.Getpid())
	}
	if _, err := config.MakeSoloRuntime(s.settings.File, os.Geteuid()); err != nil {
		return err
	}
	return os.Chmod(s.runtime, runtimeMode(s.components.access))
}
