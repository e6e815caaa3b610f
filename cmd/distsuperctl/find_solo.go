package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/visible"
	"github.com/distsuper/distsuper/store/embedded"
)

// errNobody says that no daemon runs a file which is supervisord's or solo's.
var errNobody = errors.New("distsuperd solo does not run")

// nobodyRuns is the error of a file that nobody runs; its exit code is that of supervisorctl without the daemon's socket.
func nobodyRuns(file string) error {
	err := fmt.Errorf("%w with %s: start it with \"distsuperd solo -c %s\", or, if another user started it, be that user", errNobody, file, visible.Word(file))
	if _, serr := os.Stat(config.SoloSocket(config.SoloRuntime(file, 0))); errors.Is(serr, os.ErrPermission) {
		err = fmt.Errorf("%w for us with %s: if it runs, only root and its own user may speak to it (sudo distsuperctl ...)", errNobody, file)
	}
	return &exitError{code: exitNotRunning, err: err}
}

// withoutIncludes is the configuration without what its file includes, which is all that it takes to speak to the distsuperd solo that
// runs it: a slip in an included file must not keep anybody from what runs. It is nil where no solo does.
func withoutIncludes(o config.Options) *config.Config {
	o.WithoutIncludes = true
	cfg, err := config.Load(o)
	if err != nil || !cfg.UsesEmbedded() {
		return nil
	}
	if _, runs := config.SoloEndpoint(cfg.File); !runs {
		return nil
	}
	return cfg
}

// isHere reports whether a file is in the current directory or below.
func isHere(file string) bool {
	cwd, err := os.Getwd()
	return err == nil && file != "" && strings.HasPrefix(file, strings.TrimSuffix(cwd, "/")+"/")
}

// isSoloEndpoint knows the socket of a solo by its name.
func isSoloEndpoint(endpoint string) bool {
	path, ok := strings.CutPrefix(endpoint, "unix://")
	return ok && filepath.Base(path) == config.SoloSocket("")
}

// hasEtcd reports whether there is an etcd of distsuperd's own beside a configuration, running or not.
func hasEtcd(cfg *config.Config) bool {
	d, err := embedded.DirOf(cfg.Controller.StateDir)
	if err != nil {
		return false
	}
	_, err = os.Stat(string(d))
	return err == nil
}

// waitFailed gives the end of waiting for a solo that has ended its exit code.
func waitFailed(err error) error {
	if errors.Is(err, control.ErrEnded) {
		return &exitError{code: exitNotRunning, err: fmt.Errorf("%w any more: it has ended, and what was asked of it is lost", errNobody)}
	}
	return err
}
