// Package solo is `distsuperd solo`: controller, agent and keeper in one process on one machine, on a store in its own
// memory, with supervisord's command line, signals and log. It is what a machine runs that is no fleet yet; the same
// file later serves one.
//
// It keeps nothing on disk but logs and the pid file. Its runtime directory, below /run or /tmp, has two sockets for
// its own user (the store's, at which distsuperctl finds it, and the agent's), a lock, and what the next one
// must know to end what a killed one left.
package solo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
	"github.com/distsuper/distsuper/pkg/version"
)

// GuardianCommand is the hidden command by which the binary guards its keeper.
const GuardianCommand = "guardian"

// What a solo that begins anew in the same process, or in the background, is told in its environment; processes do
// not inherit it.
const (
	envBackground = "DISTSUPER_SOLO_BACKGROUND"
	envRuntime    = "DISTSUPER_SOLO_RUNTIME"
	envRaised     = "DISTSUPER_SOLO_RAISED"
)

const program = "distsuperd solo"

// Main runs the command line and returns the exit code. It must be called on the main goroutine.
func Main(args []string) int {
	err := run(args)
	var usage usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "Error: %v\nFor help, use %s -h\n", err, program)
		return daemon.ExitUsage
	case err != nil && err.Error() != "":
		fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	}
	return daemon.Code(err)
}

func run(args []string) error {
	line, asked, err := readCommandLine(args)
	switch {
	case err != nil:
		return err
	case asked == askedHelp:
		fmt.Print(help())
		return nil
	case asked == askedVersion:
		fmt.Println(version.String())
		return nil
	}
	background := os.Getenv(envBackground) != ""
	s, err := load(line)
	if err == nil && !s.Nodaemon && !background {
		return toBackground(s)
	}
	notify := daemon.NewNotifier()
	if err == nil {
		err = serve(s, background, notify)
	}
	if err != nil {
		notify.Failed(coded(err))
	}
	return err
}

// coded gives an error the exit code that whoever waits for the daemon is to end with.
func coded(err error) error {
	if usage := (usageError{}); errors.As(err, &usage) {
		return daemon.Usage(err)
	}
	return err
}

// toBackground starts the daemon and returns when it runs.
func toBackground(s *settings) error {
	warnOfSearch(s)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _, err := daemon.Spawn(ctx, daemon.Command{Name: program, Args: append([]string{"solo"}, s.again...), Log: os.DevNull,
		Env: append(os.Environ(), envBackground+"=1")})
	var said *daemon.ExitError
	if errors.As(err, &said) && said.Code == daemon.ExitUsage {
		return usageError{said.Err}
	}
	return err
}

// warnOfSearch is supervisord's warning of a file that anybody may have put there.
func warnOfSearch(s *settings) {
	if s.searched && os.Getuid() == 0 {
		fmt.Fprintf(os.Stderr, "%s: it runs as root and searched for its configuration file in default locations (including its current "+
			"working directory), and found %s; you probably want to give a \"-c\" argument with an absolute path for improved security\n", program, s.file)
	}
}

// running is a solo that runs.
type running struct {
	s       *settings
	log     *journal
	story   *story
	parts   *parts
	lock    *daemon.Lock
	signals chan os.Signal
	asked   chan request
	code    atomic.Int64 // to exit with
	written bool         // the pid file is ours
	restart bool         // begin anew when all is stopped; listen's, until it has ended
}

func serve(s *settings, background bool, notify *daemon.Notifier) error {
	if !background {
		warnOfSearch(s)
	}
	// Heard before anything is started. They are never ignored: processes would inherit that.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR2)
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE)
	// Before its runtime directory is made ours.
	if _, runs := config.SoloEndpoint(s.file); runs {
		return usagef("another %s runs with %s already; stop it first", program, s.file)
	}
	if err := s.refuseBesideAgent(); err != nil {
		return err
	}
	account, err := findAccount(s.User)
	if err != nil {
		return err
	}
	runtime := os.Getenv(envRuntime)
	if runtime == "" {
		if runtime, err = config.MakeSoloRuntime(s.file, account.runsAs()); err != nil {
			return err
		}
	}
	told, err := s.settle(account, runtime, notify)
	if err != nil {
		return err
	}
	// Two that start together: before the log is opened, and AUTO logs of an earlier one are removed.
	lock, err := daemon.Acquire(daemon.PIDFile(runtime, "solo"))
	if other := (*daemon.RunningError)(nil); errors.As(err, &other) {
		return usagef("another %s runs with %s already; stop it first", program, s.file)
	}
	if err != nil {
		return err
	}
	defer lock.Release()
	r := &running{s: s, lock: lock, signals: signals, asked: make(chan request, 16)}
	if r.log, err = openJournal(s.Supervisord); err != nil {
		return usageError{err}
	}
	r.greet(account, told)
	if background {
		r.settleInBackground()
	}
	if err := r.begin(runtime); err != nil {
		return err
	}
	return r.runUntilEnd(runtime, notify)
}

// settle becomes the user and raises the limits. To hand raised limits to processes the program begins anew.
func (s *settings) settle(a *account, runtime string, notify *daemon.Notifier) (told []string, err error) {
	told, raised, err := raiseLimits(s.Minfds, s.Minprocs)
	if err != nil {
		return nil, err
	}
	if raised && os.Getenv(envRaised) == "" {
		return nil, s.beginAnew(runtime, notify, envRaised+"="+strings.Join(told, "\n"))
	}
	if before := os.Getenv(envRaised); before != "" {
		told = strings.Split(before, "\n")
	}
	if a != nil {
		told = append(told, fmt.Sprintf("Set uid to user %d succeeded", a.uid))
	}
	return told, a.become()
}

// beginAnew replaces this program by itself, in the same process.
func (s *settings) beginAnew(runtime string, notify *daemon.Notifier, more ...string) error {
	return daemon.Again(append([]string{os.Args[0], "solo"}, s.again...), append(append(more, envRuntime+"="+runtime), notify.Environ()...)...)
}

// greet says what was found at the start.
func (r *running) greet(a *account, told []string) {
	if a == nil && os.Getuid() == 0 {
		r.log.critical("Supervisor is running as root.  Privileges were not dropped because no user is specified in the config file.  " +
			"If you intend to run as root, you can set user=root in the config file to avoid this message.")
	}
	said := map[string]bool{} // of the file both readers know
	for _, w := range append(r.s.warnings, r.s.config.Warnings...) {
		if !said[w] {
			r.log.warn("%s", w)
		}
		said[w] = true
	}
	for _, file := range r.s.included {
		r.log.info("Included extra file \"%s\" during parsing", file)
	}
	for _, text := range told {
		r.log.info("%s", text)
	}
	if !r.s.Nocleanup {
		if err := removeAutoLogs(r.s.Childlogdir, r.s.Identifier); err != nil {
			r.log.warn("AUTO logs of an earlier daemon stay: %v", err)
		}
	}
}

// settleInBackground is what supervisord does when it has gone there.
func (r *running) settleInBackground() {
	r.log.info("daemonizing the supervisord process")
	if r.s.Directory != "" {
		if err := os.Chdir(r.s.Directory); err != nil {
			r.log.critical("can't chdir into %s: %v", supervisor.Quote(r.s.Directory), err)
		} else {
			r.log.info("set current directory: %s", supervisor.Quote(r.s.Directory))
		}
	}
	unix.Umask(r.s.Umask)
}

// begin makes everything that runs.
func (r *running) begin(runtime string) error {
	r.story = newStory(r.log, r.s.ExitOn, os.Getpid() == 1, r.endItself)
	var err error
	if r.parts, err = newParts(r.s, runtime, r.log, r.story.hear); err != nil {
		return usageError{err}
	}
	if err := r.parts.start(r.daemon()); err != nil {
		return errors.Join(err, r.parts.close())
	}
	if err := os.WriteFile(r.s.Pidfile, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
		r.log.critical("could not write pidfile %s", r.s.Pidfile)
		return nil
	}
	r.written = true
	r.log.info("supervisord started with pid %d", os.Getpid())
	return nil
}

// runUntilEnd is the life of the daemon.
func (r *running) runUntilEnd(runtime string, notify *daemon.Notifier) error {
	quit := make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); r.listen(quit) }()
	go r.loadPrograms(notify)
	err := r.parts.engine.Run()
	close(quit)
	<-done
	err = errors.Join(err, r.parts.close())
	r.story.close()
	if r.written {
		removePidfile(r.s.Pidfile)
	}
	if r.restart {
		if err != nil {
			r.log.error("not everything ended well: %v", err)
		}
		r.log.close()
		os.Unsetenv(envRaised)
		r.lock.Release()
		return r.s.beginAnew(runtime, notify)
	}
	if err == nil {
		err = r.removeRuntime(runtime)
	}
	if err != nil {
		r.log.error("not everything ended well: %v", err)
	}
	r.log.close()
	if code := r.code.Load(); code != 0 {
		return &daemon.ExitError{Code: int(code)}
	}
	return nil
}

// removeRuntime leaves nothing of an end at which all was well. The pid file goes last: it is what keeps another solo out. The
// directory itself stays where it is not ours to remove, another solo begins there, or children were left alone.
func (r *running) removeRuntime(runtime string) error {
	if err := engine.RemoveState(runtime); err != nil {
		return err
	}
	if err := r.lock.Remove(); err != nil {
		return err
	}
	os.Remove(runtime)
	return nil
}

// loadPrograms starts what autostart says. When a part fails everything ends.
func (r *running) loadPrograms(notify *daemon.Notifier) {
	r.parts.living.Go(func() error { r.parts.giveRoom(r.parts.life); return nil })
	if err := r.parts.load(r.parts.plans); err != nil && r.parts.plans.Err() == nil {
		r.log.critical("the programs cannot be loaded: %v", err)
		r.code.Store(daemon.ExitFailed)
		r.stop()
		notify.Failed(err)
		return
	}
	notify.Ready("running")
	if err := r.parts.firstFailure(); err != nil {
		r.log.critical("%v", err)
		r.code.Store(daemon.ExitFailed)
		r.stop()
	}
}

// listen obeys signals, and requests as if they were.
func (r *running) listen(quit <-chan struct{}) {
	stopping := false
	for {
		var sig unix.Signal
		var name string
		select {
		case <-quit:
			return
		case s := <-r.signals:
			sig = s.(unix.Signal)
			name = unix.SignalName(sig)
		case asked := <-r.asked:
			sig, name = asked.signal, "request of "+asked.by
		}
		switch {
		case sig == unix.SIGUSR2:
			r.log.info("received %s indicating log reopen request", name)
			r.reopen()
		case sig == unix.SIGHUP && stopping && !r.restart:
			r.log.warn("ignored %s indicating restart request (shutdown in progress)", name)
		case sig == unix.SIGHUP:
			if !r.mayRestart(name) {
				continue
			}
			r.log.warn("received %s indicating restart request", name)
			r.restart, stopping = true, true
			r.stop()
		default:
			r.log.warn("received %s indicating exit request", name)
			r.restart, stopping = false, true
			r.stop()
		}
	}
}

// mayRestart reads the configuration that the next one will have: one that it would refuse must not
// stop what runs.
func (r *running) mayRestart(signal string) bool {
	if _, err := r.s.loadAgain(); err != nil {
		r.log.error("ignored %s indicating restart request, since the configuration would be refused: %v", signal, err)
		return false
	}
	return true
}

// stop begins to stop everything, the group with the highest priority number first.
func (r *running) stop() {
	r.log.ending.Store(true)
	r.story.shutdown()
	r.parts.stopPlanning()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.parts.engine.Shutdown(ctx); err != nil {
		r.log.error("stop: %v", err)
	}
}

// endItself is what exit_on does.
func (r *running) endItself(why string) {
	r.log.warn("%s: exiting", why)
	r.code.Store(daemon.ExitFailed)
	go r.stop()
}

func (r *running) reopen() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(r.log.reopen(), r.parts.collector.Reopen(ctx)); err != nil {
		r.log.error("log files could not be opened anew: %v", err)
		return
	}
	r.log.info("supervisord logreopen")
}

// help is supervisord's, from the table of flags.
func help() string {
	var b strings.Builder
	b.WriteString("distsuperd solo -- run a set of applications as daemons, on this machine alone.\n\nUsage: " + program + " [options]\n\nOptions:\n")
	row := func(flags, text string) { fmt.Fprintf(&b, "%-34s %s\n", flags, text) }
	row("-c/--configuration FILENAME", "configuration file path (searches if not given)")
	row("-h/--help", "print this usage message and exit")
	row("-v/--version", "print version number and exit")
	for _, k := range spec.SupervisordKeys() {
		if k.FileOnly {
			continue
		}
		flags := "--" + k.Name
		if k.Flag != "" {
			flags = "-" + k.Flag + "/" + flags
		}
		if !k.Switch {
			flags += " VALUE"
		}
		text := k.Doc + " Also " + k.Name + " in [supervisord]"
		if k.Default != "" && !k.Switch {
			text += "; default " + k.Default
		}
		row(flags, text+".")
	}
	b.WriteString("\nSignals: TERM, INT and QUIT shut down; HUP stops everything, reads the file again and starts anew; USR2 opens all logs\n" +
		"anew. The exit code is 0 after a shutdown, 2 for wrong usage, and 1 when exit_on in [supervisord] ended it.\n")
	return b.String()
}
