package keeperd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/keeper/engine/self"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/deadline"
)

const (
	// selfTestTime is how long the other binary may take to say whether it can go on.
	selfTestTime = 10 * time.Second
	// quietTime is how long a moment is waited for at which the state is whole.
	quietTime = 10 * time.Second
	// logsTime is how long the main thread waits for the log thread at such a moment.
	logsTime = 100 * time.Millisecond
)

// upgrader replaces the binary of this keeper.
type upgrader struct {
	engine  *engine.Engine
	logs    *logs.Collector
	serving *serving
	reopen  *self.Signals
	command []string // by which another binary calls SelfTest
	version string
	log     *zap.Logger

	mu   sync.Mutex // held by one upgrade from its beginning to its end
	busy bool
}

// Upgrade implements keeper.Upgrader.
func (u *upgrader) Upgrade(ctx context.Context, r keeper.UpgradeRequest) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy {
		return errors.New("replace the keeper: that is under way already")
	}
	path := r.Program
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return fmt.Errorf("replace the keeper: %w", err)
		}
		path = own
	}
	tested, err := os.Stat(path)
	if err == nil {
		err = u.test(ctx, path)
	}
	if err != nil {
		return fmt.Errorf("replace the keeper by %s: %w", path, err)
	}
	if r.Try {
		return nil
	}
	u.busy = true
	u.engine.SetHandoverError("") // that of an earlier time
	go u.replace(path, tested)
	return nil
}

// test has a binary say whether it could go on with the present state.
func (u *upgrader) test(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, selfTestTime)
	defer cancel()
	fd := -1
	err := u.handOver(ctx, func(s state, h header) (err error) {
		fd, err = s.write(h)
		return err
	})
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(fd), "state")
	defer in.Close()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, u.command...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &said
	cmd.WaitDelay = time.Second
	ended := cmd.Run() // perhaps "no child": the loop reaps everybody
	var v daemon.Verdict
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		if ctx.Err() != nil {
			ended = fmt.Errorf("no answer within %v", selfTestTime)
		}
		return fmt.Errorf("it does not say whether it can take over: %w", errors.Join(ended, lastWords(said.String())))
	}
	if !v.OK {
		return errors.New(v.Problem)
	}
	return nil
}

// lastWords is the end of what a program said, nil for nothing.
func lastWords(said string) error {
	said = strings.TrimSpace(said)
	if said == "" {
		return nil
	}
	lines := strings.Split(said, "\n")
	return errors.New(strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// replace executes the binary that was tested. It goes on as before if that fails.
func (u *upgrader) replace(path string, tested os.FileInfo) {
	u.log.Info("The keeper is about to be replaced in place", zap.String("program", path))
	err := u.serving.pause()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), quietTime)
		err = u.handOver(ctx, func(s state, h header) error { return execute(path, tested, s, h) })
		cancel()
	}
	u.log.Error("The keeper was not replaced, and goes on", zap.String("program", path), zap.Error(err))
	u.engine.SetHandoverError(err.Error())
	u.mu.Lock()
	u.busy = false
	u.mu.Unlock()
	u.serving.resume()
}

// handOver calls do on the main thread with the whole state, of which nothing changes meanwhile.
func (u *upgrader) handOver(ctx context.Context, do func(state, header) error) error {
	var s state
	hold := func() (release func(), err error) {
		ctx, cancel := context.WithTimeout(ctx, logsTime)
		defer cancel()
		s.Logs, release, err = u.logs.HandOver(ctx)
		return release, err
	}
	return u.engine.HandOver(ctx, hold, func(e engine.State) (err error) {
		s.Engine, s.ReopenFD = e, u.reopen.Descriptor()
		if s.Socket, err = u.serving.socket.HandOver(); err != nil {
			return err
		}
		return do(s, header{Version: engine.StateVersion, Binary: u.version, Backstop: e.Backstop(deadline.Now(clock.Real{}))})
	})
}

// execute becomes the other binary. It runs on the main thread.
func execute(path string, tested os.FileInfo, s state, h header) error {
	// By its path, from which it has its name; that it is still what was tested is looked at last.
	if now, err := os.Stat(path); err != nil || !os.SameFile(now, tested) || !now.ModTime().Equal(tested.ModTime()) {
		return errors.Join(errors.New("the file has changed since it was tested"), err)
	}
	var err error
	if h.BinaryFD, err = unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("keep the present binary: %w", err)
	}
	defer unix.Close(h.BinaryFD)
	fd, err := s.write(h)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	kept := append(s.descriptors(), fd, h.BinaryFD)
	if err := self.KeepOnExec(kept, true); err != nil {
		return errors.Join(err, self.KeepOnExec(kept, false))
	}
	err = self.Exec(path, os.Args, append(os.Environ(), fmt.Sprintf("%s=%d", envHandover, fd)))
	return errors.Join(err, self.KeepOnExec(kept, false))
}
