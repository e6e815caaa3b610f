package keeperd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/privatesock"
)

// envHandover names the descriptor from which a keeper reads what the binary before has handed over.
const envHandover = "DISTSUPER_HANDOVER"

// header is the first line of it, so that the backstop is armed before all else is read. Its fields never change.
type header struct {
	Version  int           `json:"version"` // engine.StateVersion
	Binary   string        `json:"binary"`  // the version of the one that wrote it
	Backstop clock.Instant `json:"backstop"`
	// BinaryFD is the binary that wrote it, which goes on if the other one fails to; 0 where there is no way back.
	BinaryFD int `json:"binary_fd,omitempty"`
}

// state is the rest.
type state struct {
	Engine engine.State       `json:"engine"`
	Logs   logs.State         `json:"logs"`
	Socket privatesock.Handed `json:"socket"`
	// ReopenFD tells of a signal to open the log files anew that was not acted on; 0 where the binary does not say.
	ReopenFD int `json:"reopen_fd,omitempty"`
}

func (s state) descriptors() []int {
	all := append(append(s.Engine.Descriptors(), s.Logs.Descriptors()...), s.Socket.FD)
	if s.ReopenFD != 0 {
		all = append(all, s.ReopenFD)
	}
	return all
}

// write puts a state into memory of its own, and returns the descriptor of that.
func (s state) write(h header) (fd int, err error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	if err := errors.Join(enc.Encode(h), enc.Encode(s)); err != nil {
		return -1, fmt.Errorf("write the state: %w", err)
	}
	if fd, err = unix.MemfdCreate("distsuper-handover", unix.MFD_CLOEXEC); err != nil {
		return -1, fmt.Errorf("make the memory for the state: %w", err)
	}
	for data := text.Bytes(); len(data) > 0; {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			unix.Close(fd)
			return -1, fmt.Errorf("write the state: %w", err)
		}
		data = data[max(n, 0):]
	}
	if _, err := unix.Seek(fd, 0, io.SeekStart); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// readState reads a state; header, once it is known, is called before the rest is read.
func readState(from io.Reader, known func(header) error) (s state, err error) {
	dec := json.NewDecoder(from)
	var h header
	if err := dec.Decode(&h); err != nil {
		return s, fmt.Errorf("read what is handed over: %w", err)
	}
	if h.Version < 1 || h.Version > engine.StateVersion {
		return s, fmt.Errorf("the running keeper (%s) hands over state of version %d, and this one knows up to %d", h.Binary, h.Version, engine.StateVersion)
	}
	if err := known(h); err != nil {
		return s, err
	}
	if err := dec.Decode(&s); err != nil {
		return s, fmt.Errorf("read what is handed over: %w", err)
	}
	return s, s.Engine.Check()
}

// resumed is what a binary begins with that goes on for another one.
type resumed struct {
	state
	from     string // its version
	wentBack string // why the binary that was executed in between could not go on; "" when there was none
	backstop *guardian.Backstop
	back     wayBack
}

// resume reads what was handed over; nil when this keeper begins. It arms the backstop first, which did not outlive the exec.
func resume() (*resumed, error) {
	fd, err := strconv.Atoi(os.Getenv(envHandover))
	if os.Unsetenv(envHandover); err != nil {
		return nil, nil
	}
	r := &resumed{wentBack: os.Getenv(envWentBack), back: wayBack{handover: os.NewFile(uintptr(fd), "handover")}}
	os.Unsetenv(envWentBack)
	r.state, err = readState(r.back.handover, func(h header) (err error) {
		r.from = h.Binary
		if r.wentBack == "" { // else this is the binary before
			r.back.binary = h.BinaryFD
		}
		if r.backstop, err = guardian.NewBackstop(); err == nil {
			r.backstop.Set(h.Backstop)
		}
		return err
	})
	if err == nil {
		err = r.back.prepare(r.descriptors())
	}
	return r, err
}

// SelfTest says as a daemon.Verdict whether this binary could go on with the state that it reads. It touches nothing of it.
func SelfTest(in io.Reader, out io.Writer) error {
	_, err := readState(in, func(header) error { return nil })
	return errors.Join(json.NewEncoder(out).Encode(daemon.VerdictOf(err)), err)
}
