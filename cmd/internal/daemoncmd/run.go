package daemoncmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/pkg/version"
)

// Running is a daemon in its `run` role, as it finds itself.
type Running struct {
	Config *config.Config
	Log    *zap.Logger
	Lock   *daemon.Lock
	Notify *daemon.Notifier
	// Reread reads the settings again and puts them into effect, as HUP does.
	Reread func() error
	// Check asks the program that would be executed next, which may be a newer one, why it could not start.
	Check func() error
	// Nice is the nice value that it was started with; it may be preferred now.
	Nice int
	// End ends the daemon as a signal would: ErrStop, ErrUSR1, ErrRestart or another cause of its own.
	End func(cause error)

	daemon Daemon
	file   string       // of the log; "" for stderr
	reopen func() error // the log
}

// A Server is what the daemon does.
type Server interface {
	// Serve works until ctx ends, and does then what its cause asks for, at most until grace ends. ErrRestart as its error
	// has the daemon restart in its place.
	Serve(ctx, grace context.Context) error
	// Reload puts settings that were read again into effect; those of the log are already.
	Reload(next *config.Config)
	// Reopen opens anew the log files that it has beside the daemon's own.
	Reopen(ctx context.Context) error
}

// daemonUmask is supervisord's: what a daemon in the background and the processes that it starts create does not depend on the
// shell from which it was started. In the foreground it is the caller's, so that a service manager's UMask= counts.
const daemonUmask = 0o022

// checkTimeout is the most that the next program may take to say whether it could start.
const checkTimeout = 30 * time.Second

// reopenTimeout is the most that a signal waits for log files to be opened again.
const reopenTimeout = 10 * time.Second

// NewRun makes the command that is the daemon.
func (d Daemon) NewRun(cmd *cobra.Command, serve func(*Running) Server) *cobra.Command {
	cmd.Use, cmd.Args = "run", NoArgs
	cmd.Long = "run starts the daemon in the foreground, with the log on stderr, for service managers and for debugging."
	cmd.Example = "  " + string(d.Name) + " run --log-level debug"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		notify := daemon.NewNotifier()
		err := d.run(cmd, notify, serve)
		if errors.Is(err, ErrRestart) {
			err = daemon.Reexec(os.Args, notify.Environ()...)
		}
		if err != nil {
			notify.Failed(err)
		}
		return err
	}
	cmd.Flags().Bool(BackgroundFlag, false, "log to the log file")
	if err := cmd.Flags().MarkHidden(BackgroundFlag); err != nil {
		panic(err) // the flag was added in the line above
	}
	return cmd
}

func (d Daemon) run(cmd *cobra.Command, notify *daemon.Notifier, serve func(*Running) Server) error {
	cfg, err := d.Load(cmd)
	if err != nil {
		return err
	}
	if background, _ := cmd.Flags().GetBool(BackgroundFlag); background {
		unix.Umask(daemonUmask)
	}
	lock, err := daemon.Acquire(d.PIDFile(cfg))
	if err != nil {
		return err
	}
	defer lock.Release()
	log, file, err := d.openLog(cmd, cfg)
	if err != nil {
		return err
	}
	warn(log, cfg)
	dir, _ := d.Home(cfg)
	if err := statedir.Keep(dir); err != nil {
		log.Warn("on a full disk this daemon could not write its state", zap.Error(err))
	}
	nice, err := daemon.Prefer()
	if err != nil { // a plain user's daemon takes its turn with everybody else's
		log.Debug("the kernel does not prefer this daemon", zap.Error(err))
	}
	p := &Running{Config: cfg, Log: log.Logger, Lock: lock, Notify: notify, Nice: nice, daemon: d, file: file, reopen: log.Reopen}
	s := serve(p)
	p.Check = func() error {
		ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
		defer cancel()
		return daemon.Ask(ctx, append([]string{"check", "--json"}, given(cmd)...))
	}
	var rereading sync.Mutex // a signal and a request may come together
	p.Reread = func() error {
		rereading.Lock()
		defer rereading.Unlock()
		next, err := d.reread(cmd, cfg, log)
		if err == nil {
			s.Reload(next)
		}
		return err
	}
	ctx, grace, end, done := Signals(cmd.Context(), func() {
		if err := p.Reread(); err != nil {
			log.Error("the settings are not changed", zap.Error(err))
		}
	}, func() {
		ctx, cancel := context.WithTimeout(cmd.Context(), reopenTimeout)
		defer cancel()
		if err := errors.Join(log.Reopen(), s.Reopen(ctx)); err != nil {
			log.Error("log files cannot be reopened", zap.Error(err))
			return
		}
		log.Info("log files reopened")
	})
	defer done()
	p.End = end
	return s.Serve(ctx, grace)
}

func warn(log *daemon.Log, cfg *config.Config) {
	for _, w := range cfg.Warnings {
		log.Warn("configuration", zap.String("warning", w))
	}
}

// openLog opens the daemon's own log: its file in the background, stderr else.
func (d Daemon) openLog(cmd *cobra.Command, cfg *config.Config) (log *daemon.Log, file string, err error) {
	_, c := d.Home(cfg)
	if background, _ := cmd.Flags().GetBool(BackgroundFlag); background {
		file = c.File
	}
	log, err = daemon.OpenLog(daemon.Logging{File: file, MaxBytes: c.MaxBytes, Backups: c.Backups, Level: c.Level})
	return log, file, err
}

// reread opens the log anew, reads the settings and puts those of the log into effect. With an error the old settings stay.
func (d Daemon) reread(cmd *cobra.Command, cfg *config.Config, log *daemon.Log) (*config.Config, error) {
	if err := log.Reopen(); err != nil {
		log.Error("the log file cannot be reopened", zap.Error(err))
	}
	next, err := d.settings(cmd)
	if err != nil {
		return nil, fmt.Errorf("reload the settings: %w", err)
	}
	_, c := d.Home(next)
	if err := log.SetLevel(c.Level); err != nil {
		return nil, fmt.Errorf("change the log level: %w", err)
	}
	live, atStart := config.Changed(cfg, next, d.Name)
	log.Info("settings reloaded", zap.Strings("changed", live), zap.Strings("at_next_start", atStart))
	warn(log, next)
	return next, nil
}

// Daemon is what the daemon of that identifier answers distsuperctl.
func (p *Running) Daemon(identifier string, reload, stop func() error) rpc.DaemonServer {
	about := rpc.Daemon{Program: string(p.daemon.Name), PID: os.Getpid(), Version: version.String(), Identifier: identifier, Log: p.file, File: p.Config.File}
	asked := func(what string, do func() error) func(string) error {
		return func(by string) error {
			p.Log.Info(what, zap.String("by", by))
			return do()
		}
	}
	return rpc.DaemonServer{Daemon: func() rpc.Daemon { return about }, Log: rpc.LogFile(daemon.Tail, p.file, "it logs to its stderr"),
		Reload: asked("asked to reload", reload), Stop: asked("asked to stop", stop)}
}
