package solo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/solo/mainlog"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/hold"
)

// Program is what the daemon is called in messages.
const Program = "distsuperd solo"

// What the next daemon in the same process is told in its environment. Processes do not inherit it.
const (
	envRuntime = "DISTSUPER_SOLO_RUNTIME"
	envRaised  = "DISTSUPER_SOLO_RAISED"
)

// Options of a Solo. All are needed.
type Options struct {
	Settings *Settings
	// Background: it was started in the background, and does what supervisord does there.
	Background bool
	// GuardianCommand are the arguments with which this binary calls guardian.Main.
	GuardianCommand []string
	Notify          *daemon.Notifier
	// Restart replaces this program by itself, in the same process and with more in its environment. It returns
	// only when it fails.
	Restart func(env ...string) error
	// Check asks the program that Restart would execute, which may be a newer one, to call Settings.Check, with more in its environment,
	// and returns why it could not start.
	Check func(env ...string) error
}

// Solo is the daemon.
type Solo struct {
	settings *Settings
	runtime  string // its runtime directory
	notify   *daemon.Notifier
	restart  func(env ...string) error
	check    func(env ...string) error

	hold       *hold.Hold // of the configuration file; nil where a stranger has its name
	lock       *daemon.Lock
	log        *mainlog.Log
	reporter   *reporter
	components *components
	signals    chan os.Signal
	requests   chan request

	stopping atomic.Bool
	exitCode atomic.Int64
	pidfile  bool // the pid file is ours
	// What follows belongs to handleSignals until that has ended.
	restarting bool // start again when everything has stopped
	exiting    bool // an exit was asked for: no restart any more
}

// New makes a Solo, and becomes the user that the settings name. It kills what an earlier daemon of this file left running. An error for
// which the exit code is daemon.ExitUsage is the user's to mend. Where limits have to be raised it restarts the program.
func New(o Options) (*Solo, error) {
	s := &Solo{settings: o.Settings, notify: o.Notify, restart: o.Restart, check: o.Check, signals: make(chan os.Signal, 16), requests: make(chan request, 16)}
	// Caught before anything is started. They are never ignored: processes would inherit that.
	signal.Notify(s.signals, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR2)
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	// Before its runtime directory is made ours.
	if _, runs := config.SoloEndpoint(s.settings.File); runs {
		return nil, s.alreadyRuns()
	}
	if err := s.holdFile(); err != nil {
		return nil, err
	}
	if err := errors.Join(s.settings.refuseBesideAgent(), s.settings.refuseBesideSupervisord()); err != nil {
		return nil, err
	}
	account, err := findAccount(s.settings.User)
	if err != nil {
		return nil, err
	}
	if s.runtime = os.Getenv(envRuntime); s.runtime == "" {
		if s.runtime, err = config.MakeSoloRuntime(s.settings.File, account.userID()); err != nil {
			return nil, err
		}
	}
	messages, err := s.prepareProcess(account)
	if err != nil {
		return nil, err
	}
	// Of two that start at once one goes on: before the log is opened, and AUTO logs of an earlier one are removed.
	s.lock, err = daemon.Acquire(daemon.PIDFile(s.runtime, "solo"))
	if other := (*daemon.RunningError)(nil); errors.As(err, &other) {
		return nil, s.alreadyRuns()
	}
	if err != nil {
		return nil, err
	}
	if err := s.open(o, account, messages); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// holdFile makes this the one solo of its file, also where somebody has taken the runtime directory of another away.
func (s *Solo) holdFile() error {
	held, pid, err := config.HoldSolo(s.settings.File)
	switch {
	case err != nil:
		return err
	case pid != 0:
		return s.alreadyRuns()
	}
	s.hold = held
	return nil
}

func (s *Solo) alreadyRuns() error {
	if pid := config.SoloHolder(s.settings.File); pid != 0 {
		return usagef("another %s runs with %s already (pid %d); stop it first (kill %d)", Program, s.settings.File, pid, pid)
	}
	if endpoint, ok := config.SoloEndpoint(s.settings.File); ok {
		return usagef("another %s runs with %s already; stop it first (%s)", Program, s.settings.File, config.SoloShutdown(endpoint))
	}
	return usagef("another %s runs with %s already; stop it first, as the user that started it", Program, s.settings.File)
}

// open opens the log and makes the components.
func (s *Solo) open(o Options, a *account, messages []string) (err error) {
	if s.log, err = mainlog.Open(s.settings.Supervisord); err != nil {
		return daemon.Usage(err)
	}
	s.logStart(a, messages)
	if o.Background {
		s.enterBackground()
	}
	s.reporter = newReporter(s.log, s.settings.ExitOn, os.Getpid() == 1, s.exitOn)
	if s.components, err = newComponents(s.settings, s.runtime, o.GuardianCommand, s.log, s.reporter); err != nil {
		return daemon.Usage(err)
	}
	return nil
}

// Run is the life of the daemon, and ends when everything has stopped; its error has the exit code. It must be called once, on the main
// goroutine.
func (s *Solo) Run() error {
	defer s.release()
	if err := s.components.start(s.daemonServer()); err != nil {
		return errors.Join(err, s.components.close())
	}
	if s.pidfile = s.writePidfile(); s.pidfile {
		s.log.Info("supervisord started with pid %d", os.Getpid())
	}
	quit := make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); s.handleSignals(quit) }()
	go s.loadPrograms()
	s.components.serving.Go(func() error { s.keepFiles(s.components.serveCtx); return nil })
	err := s.components.engine.Run()
	close(quit)
	<-done
	err = errors.Join(err, s.components.close())
	s.reporter.close()
	if s.pidfile {
		removePidfile(s.settings.Pidfile)
	}
	return s.end(err)
}

// release lets another solo of the file begin.
func (s *Solo) release() {
	s.lock.Release()
	if s.hold != nil {
		s.hold.Close()
	}
}

func (s *Solo) writePidfile() bool {
	if err := writePid(s.settings.Pidfile); err != nil {
		s.log.Critical("could not write pidfile %s", s.settings.Pidfile)
		return false
	}
	return true
}

// end ends the daemon, or starts the next one in its place. failed is what went wrong when everything was stopped.
func (s *Solo) end(failed error) error {
	if !s.restarting && failed == nil {
		failed = s.removeRuntime()
	}
	if failed != nil {
		s.log.Error("not everything stopped cleanly: %v", failed)
	}
	s.log.Close()
	if s.restarting {
		os.Unsetenv(envRaised)
		s.release()
		return s.startAgain()
	}
	if code := s.exitCode.Load(); code != 0 {
		return &daemon.ExitError{Code: int(code)}
	}
	return nil
}

// startAgain replaces this program by the next daemon, which has the same runtime directory.
func (s *Solo) startAgain(env ...string) error {
	return s.restart(append(env, envRuntime+"="+s.runtime)...)
}

// removeRuntime leaves nothing behind when all ended well. The pid file goes last: it is what keeps another solo out. The directory itself
// stays where it is not ours to remove, another solo begins there, or children were left running.
func (s *Solo) removeRuntime() error {
	if !s.lock.Current() {
		return nil // it was removed under us, and may be another's now
	}
	if err := contain.RemoveState(s.runtime); err != nil {
		return err
	}
	if err := s.lock.Remove(); err != nil {
		return err
	}
	os.Remove(s.runtime)
	return nil
}

// loadPrograms starts what autostart says. When a component fails everything ends.
func (s *Solo) loadPrograms() {
	c := s.components
	c.serving.Go(func() error { c.relaxGC(c.serveCtx); return nil })
	if err := c.load(c.placeCtx); err != nil && c.placeCtx.Err() == nil {
		s.fail(fmt.Errorf("the programs cannot be loaded: %w", err))
		s.notify.Failed(err)
		return
	}
	s.notify.Ready("running")
	if err := c.firstFailure(); err != nil {
		s.fail(err)
	}
}

// fail ends everything, for which the exit code is that of a failure.
func (s *Solo) fail(err error) {
	s.log.Critical("%v", err)
	s.exitCode.Store(daemon.ExitFailed)
	s.stop()
}

// exitOn is what exit_on does.
func (s *Solo) exitOn(why string) {
	s.log.Warn("%s: exiting", why)
	s.exitCode.Store(daemon.ExitFailed)
	go s.stop()
}

// stop begins to stop everything, the group with the highest priority number first.
func (s *Solo) stop() {
	s.stopping.Store(true)
	s.log.SetStopping()
	s.reporter.shutdown()
	s.components.stopPlacing()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.components.engine.Shutdown(ctx); err != nil {
		s.log.Error("stop: %v", err)
	}
}
