package self

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Signals are those of some kinds, each of which is acted on by this binary, or by the one that its process executes meanwhile: a
// descriptor that is handed on tells that of one that was heard and not acted on.
//
// What comes once the threads of the binary before are gone waits in the kernel. Go's runtime lets through what ends a process before it
// hears anything, so that TERM and INT end it then as they end any other.
type Signals struct {
	kinds []os.Signal
	heard chan os.Signal
	note  int // eventfd: something was heard, and is not acted on
}

// Hear begins to take signals. They are all acted on in the same way.
func Hear(kinds ...os.Signal) (*Signals, error) {
	note, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make what keeps signals over a replacement: %w", err)
	}
	return HearOn(note, kinds...), nil
}

// HearOn goes on with the Descriptor of the binary before. What that has left is not touched before Each.
func HearOn(note int, kinds ...os.Signal) *Signals {
	s := &Signals{kinds, make(chan os.Signal, 1), note}
	signal.Notify(s.heard, kinds...)
	return s
}

// Descriptor is to stay open over an exec.
func (s *Signals) Descriptor() int { return s.note }

// Each acts on one after another until quit is closed. What act begins and does not finish must be known to the next binary by other ways.
func (s *Signals) Each(quit <-chan struct{}, act func(os.Signal)) {
	one := func(sig os.Signal) {
		s.tell()
		act(sig)
		s.clear()
	}
	if s.clear() {
		one(s.kinds[0])
	}
	for {
		select {
		case <-quit:
			return
		case sig := <-s.heard:
			one(sig)
		}
	}
}

// Stop takes no more of them.
func (s *Signals) Stop() {
	signal.Stop(s.heard)
	unix.Close(s.note)
}

func (s *Signals) tell() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(s.note, one[:])
}

// clear reports whether something was left.
func (s *Signals) clear() bool {
	var count [8]byte
	n, err := unix.Read(s.note, count[:])
	return n == len(count) && err == nil
}
