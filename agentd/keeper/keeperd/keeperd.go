// Package keeperd is the keeper's process: engine, log collector and server, put together.
package keeperd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/pkg/swept"
)

// Options of a keeper. StateDir, Version and GuardianCommand are needed.
type Options struct {
	StateDir string
	Version  string
	Config   string // the agent's configuration file
	// GuardianCommand are the arguments with which this binary calls guardian.Main.
	GuardianCommand []string
	// SelfTestFlag is the argument which, after those of this process, has another binary call SelfTest: so it shows that it knows them all.
	SelfTestFlag string
	// Nice is the nice value of processes. The keeper's own is the agent's, which may be preferred: it has to be in time, too.
	Nice int
	// LogLevel is "info" when empty.
	LogLevel string
}

// LogFile is the keeper's own log.
func LogFile(stateDir string) string { return filepath.Join(stateDir, "keeper.log") }

// Main is the whole life of a keeper, and returns its exit status. It must be called on the main goroutine. It tells
// its starter over the descriptor of pkg/daemon when the socket is open, or why not. TERM, INT and a call
// of Shutdown stop every process and end it; USR2 opens all log files anew; HUP changes nothing.
func Main(o Options) int {
	handed, err := resume() // before all else: the backstop is not armed
	notify := daemon.NewNotifier()
	if err == nil {
		err = run(o, handed, notify)
	} else if handed != nil {
		err = errors.Join(err, handed.back.take(err))
	}
	if err != nil {
		notify.Failed(err)
		fmt.Fprintf(os.Stderr, "keeper: %v\n", err)
		return daemon.Code(err)
	}
	return 0
}

func run(o Options, handed *resumed, notify *daemon.Notifier) error {
	// Heard before anything is started, and never ignored: processes would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGPIPE)

	log, err := openLog(o)
	if err != nil && handed == nil {
		return err
	}
	k, err := assemble(o, handed, log)
	if err != nil && handed != nil {
		err = errors.Join(err, handed.back.take(err))
	}
	if err != nil {
		log.Error("The keeper could not start", zap.Error(err))
		return err
	}
	if handed != nil {
		handed.back.leave()
		k.collector.Begin()
	}
	defer closeInTime(k.collector, log.Logger)
	if err := statedir.Keep(o.StateDir); err != nil {
		log.Warn("On a full disk this keeper could not write its state", zap.Error(err))
	}
	switch {
	case handed != nil && handed.wentBack != "":
		log.Error("The keeper was not replaced, and goes on: the other binary could not", zap.String("error", handed.wentBack))
	case handed != nil:
		log.Info("The keeper was replaced in place", zap.String("from", handed.from), zap.String("to", o.Version))
	}
	s := service{k.engine, k.collector, log.Reopen}
	serving := newServing(k.socket, log.Named("server"))
	serving.begin(upgradable{s, &upgrader{engine: k.engine, logs: k.collector, serving: serving, reopen: k.reopen, command: append(slices.Clone(os.Args[1:]), o.SelfTestFlag), version: o.Version,
		log: log.Named("keeper")}})
	ctx, cancel := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() { k.reopen.Each(ctx.Done(), func(os.Signal) { reopenLogs(ctx, s, log.Logger) }) })
	beside.Go(func() { keepFiles(ctx, k.engine, k.socket, s.own, log.Logger) })
	notify.Ready(fmt.Sprintf("the keeper runs (pid %d)", os.Getpid()))
	err = k.engine.Run()
	served := serving.end()
	cancel()
	beside.Wait()
	return errors.Join(err, served)
}

// openLog opens the keeper's own log. With an error what is logged goes nowhere.
func openLog(o Options) (*daemon.Log, error) {
	err := os.MkdirAll(o.StateDir, 0o700)
	if err != nil {
		err = fmt.Errorf("make the state directory: %w", err)
	}
	log, openErr := daemon.OpenLog(daemon.Logging{File: LogFile(o.StateDir), MaxBytes: 50 << 20, Backups: 3, Level: cmp.Or(o.LogLevel, "info")})
	if openErr != nil {
		log = &daemon.Log{Logger: zap.NewNop()}
	}
	return log, errors.Join(err, openErr)
}

// parts are those of a keeper.
type parts struct {
	engine    *engine.Engine
	collector *logs.Collector
	socket    keeper.Socket
	reopen    *self.Signals // to open the log files anew
}

// assemble makes the parts of a keeper that begins, or goes on with what was handed over.
func assemble(o Options, handed *resumed, log *daemon.Log) (k parts, err error) {
	if handed != nil {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it panics: %v", p)
			}
		}()
	}
	room, err := logs.RoomOn(o.StateDir)
	if err != nil && handed == nil {
		return k, err
	}
	auto := logs.Auto{Dir: engine.LogDir(o.StateDir), Room: room}
	collecting := logs.Options{Auto: auto}
	starting := engine.Options{Dir: o.StateDir, Logger: log.Named("keeper"), Version: o.Version, Config: o.Config,
		AutoLogs: auto, GuardianCommand: o.GuardianCommand, Nice: o.Nice, Environ: environ(os.Environ())}
	if handed != nil {
		collecting.Resumed, starting.Resumed, starting.Backstop = &handed.Logs, &handed.Engine, handed.backstop
		starting.WentBack = handed.wentBack
	}
	// Heard before anything is started, and never ignored: processes would inherit that.
	if k.reopen, err = hearReopen(handed); err != nil {
		return k, err
	}
	if k.collector, err = logs.New(collecting, log.Named("logs")); err != nil {
		return k, err
	}
	starting.Logs = k.collector
	if k.engine, err = engine.New(starting); err != nil {
		return k, err
	}
	// The engine holds the lock of the state directory from here on: the socket is ours.
	if handed != nil {
		k.socket, err = keeper.ResumeSocket(o.StateDir, handed.Socket)
	} else {
		k.socket, err = keeper.Listen(o.StateDir)
	}
	return k, err
}

// keepFiles has what is removed of the state directory made anew: without it no agent would find the keeper, and the next keeper
// would not know what this one runs. The log, which is in the directory, goes on there.
func keepFiles(ctx context.Context, e *engine.Engine, socket keeper.Socket, openLog func() error, log *zap.Logger) {
	files := append(e.Files(), swept.File{Path: socket.Addr().String(), Intact: socket.Intact, Renew: socket.Renew})
	err := swept.Keep(ctx, files, func(path string, err error) {
		if openErr := openLog(); openErr != nil {
			log.Error("The keeper's log could not be reopened", zap.Error(openErr))
		}
		if err != nil {
			log.Error("A file of the keeper was removed, and cannot be recreated yet", zap.String("file", path), zap.Error(err))
			return
		}
		log.Warn("A file of the keeper was removed, and was recreated", zap.String("file", path))
	})
	if err != nil {
		log.Warn("The keeper's files cannot be watched for removal", zap.Error(err))
	}
}

// environ is what processes inherit of our environment: all but the settings that lead to etcd, which may hold a
// password and are no business of theirs.
func environ(all []string) []string {
	var kept []string
	for _, v := range all {
		if !strings.HasPrefix(v, "DISTSUPER_ETCD_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// closeInTime writes the last output. A hung disk must not keep the keeper from ending.
func closeInTime(collector *logs.Collector, log *zap.Logger) {
	closed := make(chan struct{})
	go func() {
		collector.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		log.Error("The last output of processes may be lost: their log files cannot be written")
	}
}

// hearReopen begins to take the signals to open the log files anew.
func hearReopen(handed *resumed) (*self.Signals, error) {
	if handed != nil && handed.ReopenFD != 0 {
		return self.HearOn(handed.ReopenFD, unix.SIGUSR2), nil
	}
	return self.Hear(unix.SIGUSR2)
}

func reopenLogs(ctx context.Context, s service, log *zap.Logger) {
	if err := s.ReopenLogs(ctx); err != nil {
		if ctx.Err() == nil {
			log.Error("Log files could not be reopened", zap.Error(err))
		}
		return
	}
	log.Info("Log files were reopened")
}
