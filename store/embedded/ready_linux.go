package embedded

import (
	"os"
	"strconv"
	"strings"
)

// Teller is the child's side of the pipe on which Start waits.
type Teller struct{ pipe *os.File }

// NewTeller finds the pipe, and hides it from the child's own children. Without one, as when run by hand, telling
// does nothing.
func NewTeller() *Teller {
	fd, err := strconv.Atoi(os.Getenv(readyEnv))
	_ = os.Unsetenv(readyEnv) // only fails for an invalid name
	if err != nil {
		return &Teller{}
	}
	return &Teller{pipe: os.NewFile(uintptr(fd), "ready")}
}

// Ready says that etcd answers.
func (t *Teller) Ready() { t.say("ready") }

// Locked says that another one runs in the directory.
func (t *Teller) Locked() { t.say("locked") }

// Failed says why it does not start.
func (t *Teller) Failed(err error) { t.say(strings.ReplaceAll(err.Error(), "\n", " ")) }

func (t *Teller) say(word string) {
	if t.pipe == nil {
		return
	}
	// A parent that is gone cannot be told, and need not be.
	_, _ = t.pipe.WriteString(word + "\n")
	_ = t.pipe.Close()
	t.pipe = nil
}
