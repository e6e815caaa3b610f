package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/store/etcd"
)

// readyEnv tells the child on which file descriptor it says that it is ready.
const readyEnv = "DISTSUPER_ETCD_READY_FD"

// patience is how long an etcd may take until it answers. Replaying a long log takes seconds.
const patience = 60 * time.Second

// Config says where an embedded etcd lives and how it is started.
type Config struct {
	StateDir string
	// Name is the member's; "" is "distsuper".
	Name string
	// Listen is host:port for clients on other machines, with mutual TLS; "" is the socket only.
	Listen string
	// Peer is host:port for the other members of this etcd, with mutual TLS by an authority of its own; "" is for one
	// that is alone.
	Peer string
	// Quota is how many bytes it may store; 0 is etcd's own default. It counts from the next start on.
	Quota int64
	// Before is asked before each start of a process, and its error is why there is none. It may be nil.
	Before func(context.Context) error
	// Report is told by Keep whenever it becomes another reason why etcd does not start, nil when it runs. It may be nil.
	Report func(error)
	// Exe and Args run the child, which calls server.Main with the same Name, StateDir, Listen, Peer and Quota. Exe "" is
	// the running executable.
	Exe  string
	Args []string
	// Env is added to the child's environment.
	Env []string
	// Logger may be nil.
	Logger *zap.Logger
}

// Child is a running embedded etcd.
type Child struct {
	PID      int
	Adopted  bool   // it ran before
	Endpoint string // unix:///...
	dir      Dir
	done     chan struct{}
	err      error
}

// Done closes when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Err says, after Done, how it ended: with the last words of its log.
func (c *Child) Err() error { return c.err }

// Start returns the embedded etcd once it answers: the one that runs already, or a new one. One that runs with
// another Listen or Peer is restarted, which no client notices but by a second's delay. When none can be had
// the error says why; ctx bounds the waiting, and a child that is still starting then goes on.
func Start(ctx context.Context, cfg Config) (*Child, error) {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	d, err := DirOf(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if err := d.Make(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		pid, held, err := d.holder()
		var c *Child
		switch {
		case err != nil:
			return nil, fmt.Errorf("start embedded etcd: %w", err)
		case !held:
			if err = cfg.before(ctx); err == nil {
				c, err = d.spawn(ctx, cfg)
			}
		case pid == 0:
			err = errGone
		case d.addresses() != cfg.addresses():
			cfg.Logger.Info("restarting the embedded etcd, since its listen address changed",
				zap.String("was", d.addresses()), zap.String("is", cfg.addresses()))
			if err = Stop(ctx, cfg.StateDir); err == nil {
				err = errGone
			}
		default:
			c, err = d.adopt(ctx, pid)
		}
		var locked *LockedError
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, errGone), errors.As(err, &locked):
			// Another one came or went meanwhile: look again.
		default:
			return nil, fmt.Errorf("start embedded etcd: %w", err)
		}
		if !clock.Sleep(ctx, 50*time.Millisecond) {
			return nil, fmt.Errorf("start embedded etcd: %w; see %s", ctx.Err(), d.Log())
		}
	}
}

// addresses are what a running child must have been started with, as it is written beside its pid.
func (cfg Config) addresses() string { return strings.TrimSpace(cfg.Listen + " " + cfg.Peer) }

func (cfg Config) before(ctx context.Context) error {
	if cfg.Before == nil {
		return nil
	}
	return cfg.Before(ctx)
}

func (cfg Config) report(err error) {
	if cfg.Report != nil {
		cfg.Report(err)
	}
}

// errGone says that the process looked at has ended or was another.
var errGone = errors.New("the embedded etcd has ended meanwhile")

// adopt takes over one that runs, once it answers.
func (d Dir) adopt(ctx context.Context, pid int) (*Child, error) {
	p, err := d.open(pid)
	if err != nil {
		return nil, err
	}
	c := &Child{PID: pid, Adopted: true, Endpoint: "unix://" + d.Socket(), dir: d, done: make(chan struct{})}
	asking, ended := context.WithCancel(ctx) // nobody is asked who has ended
	defer ended()
	go func() {
		defer close(c.done)
		defer ended()
		defer p.close()
		p.wait()
		c.err = d.ended("pid " + fmt.Sprint(pid))
	}()
	for {
		err := d.answers(asking)
		if err == nil {
			return c, nil
		}
		select {
		case <-c.done:
			return nil, errGone
		case <-ctx.Done():
			return nil, fmt.Errorf("pid %d runs in %s but does not answer (%w); see %s, or end it with \"distsuperd stop --all\"",
				pid, d, err, d.Log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answers asks the etcd at the socket for a linearizable read, by gRPC: a socket that was made anew speaks nothing else. A full database is no
// reason to call it dead, and neither is that it wants to know who asks.
func (d Dir) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	cli, err := etcd.Dial(etcd.Config{Endpoints: []string{"unix://" + d.Socket()}})
	if err != nil {
		return err
	}
	defer cli.Close()
	_, err = cli.Get(ctx, "health", clientv3.WithKeysOnly())
	if errors.Is(err, rpctypes.ErrUserEmpty) || errors.Is(err, rpctypes.ErrPermissionDenied) {
		return nil
	}
	return err
}

// spawn starts a new child in a session of its own and waits until it says ready or why not.
func (d Dir) spawn(ctx context.Context, cfg Config) (*Child, error) {
	exe := cfg.Exe
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	log, err := d.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	ready, said, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command(exe, cfg.Args...)
	cmd.Dir = string(d)
	cmd.Env = append(append(os.Environ(), cfg.Env...), readyEnv+"=3")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{said}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = said.Close()
	if err != nil {
		return nil, err
	}
	c := &Child{PID: cmd.Process.Pid, Endpoint: "unix://" + d.Socket(), dir: d, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		how := "exit status 0"
		if err := cmd.Wait(); err != nil {
			how = err.Error()
		}
		c.err = d.ended(how)
	}()
	return c, c.awaitReady(ctx, ready)
}

func (c *Child) awaitReady(ctx context.Context, ready *os.File) error {
	word := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(ready).ReadString('\n') // its end without a word is the child's
		word <- strings.TrimSpace(line)
	}()
	select {
	case w := <-word:
		switch {
		case w == "ready":
			c.Endpoint = "unix://" + c.dir.Socket()
			return nil
		case w == "locked":
			return &LockedError{Dir: c.dir}
		case w != "":
			return errors.New(w)
		}
		<-c.done
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("pid %d is not ready yet (%w); it goes on, see %s", c.PID, ctx.Err(), c.dir.Log())
	}
}

// Stop ends the embedded etcd of a state directory: TERM, and KILL after 5 s. None running is no error.
// Everything that etcd has acknowledged is on disk either way.
func Stop(ctx context.Context, stateDir string) error {
	d, err := DirOf(stateDir)
	if err != nil {
		return err
	}
	for {
		pid, held, err := d.holder()
		if err != nil || !held {
			return err
		}
		if pid != 0 {
			if err := d.stop(ctx, pid); err != nil && !errors.Is(err, errGone) {
				return fmt.Errorf("stop embedded etcd (pid %d): %w", pid, err)
			}
		}
		if !clock.Sleep(ctx, 10*time.Millisecond) {
			return fmt.Errorf("stop embedded etcd (pid %d): %w", pid, ctx.Err())
		}
	}
}

func (d Dir) stop(ctx context.Context, pid int) error {
	p, err := d.open(pid)
	if err != nil {
		return err
	}
	defer p.close()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.signal(sig); err != nil {
			return err
		}
		if p.waitFor(ctx, 5*time.Second) {
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("it does not end, even after SIGKILL")
}

// Keep restarts the embedded etcd whenever it ends, with growing pauses from 0.1 to 10 s, until ctx ends; then it
// returns nil and leaves it running. c is what Start returned, nil for one that is to be started first.
func Keep(ctx context.Context, cfg Config, c *Child) error {
	if cfg.Logger == nil {
		cfg.Logger = zap.NewNop()
	}
	const least, most = 100 * time.Millisecond, 10 * time.Second
	pause := least
	for {
		since := time.Now()
		if c != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-c.Done():
			}
			cfg.Logger.Error("the embedded etcd ended, starting it again", zap.Int("pid", c.PID), zap.Error(c.Err()))
			cfg.report(c.Err())
		}
		if time.Since(since) > time.Minute {
			pause = least
		}
		for tries, said := 1, ""; ; tries++ {
			if !clock.Sleep(ctx, pause) {
				return nil
			}
			pause = min(2*pause, most)
			next, err := Start(ctx, cfg)
			if err == nil {
				cfg.Logger.Info("the embedded etcd runs again", zap.Int("pid", next.PID), zap.Int("tries", tries))
				cfg.report(nil)
				c = next
				break
			}
			if ctx.Err() != nil {
				return nil
			}
			if err.Error() != said { // the same reason is told once
				cfg.Logger.Error("the embedded etcd does not start; trying again until it does", zap.Error(err))
				cfg.report(err)
			}
			said = err.Error()
		}
	}
}
