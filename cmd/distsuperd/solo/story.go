package solo

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

// How often supervisord says what it waits for.
const (
	sayStopping = 2 * time.Second
	sayDying    = 3 * time.Second
)

// story tells what becomes of processes, in supervisord's words.
type story struct {
	log    *journal
	exitOn spec.ExitOn
	// end is called once, when exit_on says so.
	end func(why string)
	// stranger is true for pid 1, which everybody's orphans come to.
	stranger bool

	more chan struct{} // capacity 1
	said chan struct{} // closed when the shutdown was told
	quit chan struct{}
	done chan struct{}

	mu     sync.Mutex // guards queue
	queue  []engine.Change
	ending bool // shutdown was called

	// What follows belongs to the teller.
	alive    map[string]api.Process // those that are not stopped
	stopping map[string]bool
	over     bool
}

func newStory(log *journal, exitOn spec.ExitOn, stranger bool, end func(string)) *story {
	s := &story{log: log, exitOn: exitOn, end: end, stranger: stranger, more: make(chan struct{}, 1), said: make(chan struct{}), quit: make(chan struct{}),
		done: make(chan struct{}), alive: map[string]api.Process{}, stopping: map[string]bool{}}
	go s.tell()
	return s
}

// hear takes a change and returns at once.
func (s *story) hear(c engine.Change) {
	s.mu.Lock()
	s.queue = append(s.queue, c)
	s.mu.Unlock()
	s.wake()
}

func (s *story) wake() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// shutdown says that everything ends, and returns when it was told what is waited for: before any of it ends.
func (s *story) shutdown() {
	s.mu.Lock()
	s.ending = true
	s.mu.Unlock()
	s.wake()
	select {
	case <-s.said:
	case <-s.done:
	}
}

// close tells what is left and ends the story.
func (s *story) close() {
	close(s.quit)
	<-s.done
}

// tell is the teller.
func (s *story) tell() {
	defer close(s.done)
	var every *time.Ticker
	var tick <-chan time.Time
	dying := false
	for {
		select {
		case <-s.more:
		case <-tick:
			s.waiting(dying)
		case <-s.quit:
			for _, c := range s.take(&dying) {
				s.told(c)
			}
			return
		}
		was := dying
		for _, c := range s.take(&dying) {
			s.told(c)
		}
		if dying && !was {
			s.waiting(true)
			close(s.said)
		}
		switch wanted := s.pace(dying); {
		case wanted == 0 && every != nil:
			every.Stop()
			every, tick = nil, nil
		case wanted > 0 && (every == nil || dying != was):
			if every != nil {
				every.Stop()
			}
			every = time.NewTicker(wanted)
			tick = every.C
		}
	}
}

func (s *story) take(dying *bool) []engine.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.queue
	s.queue, *dying = nil, s.ending
	return queue
}

// pace is how often to say what is waited for; 0 is not at all: an idle daemon does not wake.
func (s *story) pace(dying bool) time.Duration {
	switch {
	case dying && len(s.alive) > 0:
		return sayDying
	case !dying && len(s.stopping) > 0:
		return sayStopping
	}
	return 0
}

// waiting says what is waited for.
func (s *story) waiting(dying bool) {
	if dying {
		if names := names(s.alive); len(names) > 0 {
			s.log.info("waiting for %s to die", strings.Join(names, ", "))
		}
		return
	}
	for _, id := range sortedKeys(s.stopping) {
		s.log.info("waiting for %s to stop", s.alive[id].Name)
	}
}

// names are the processes in the order of their groups, without their groups.
func names(alive map[string]api.Process) []string {
	var list []api.Process
	for _, p := range alive {
		list = append(list, p)
	}
	slices.SortFunc(list, api.Process.Compare)
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.Name
	}
	return out
}

// told tells one change.
func (s *story) told(c engine.Change) {
	if c.Kind == engine.Ending {
		s.log.say(ini.LevelDebug, "%s", signalled(c))
	}
	level, text := sentence(c)
	if c.Kind == engine.Reaped && !s.stranger {
		text = "" // an orphan of a process of ours, which supervisord never hears of
	}
	id := c.Process.ID()
	switch c.Kind {
	case engine.Spawned, engine.NotSpawned:
		s.alive[id] = c.Process
	case engine.Ending:
		s.stopping[id] = true
		if s.isEnding() {
			text = ""
		}
	case engine.Stopped, engine.CalledOff, engine.GaveUp:
		delete(s.alive, id)
		delete(s.stopping, id)
	case engine.Exited:
		if !c.Quick {
			delete(s.alive, id) // EXITED, until it is spawned again
		}
	}
	if text != "" {
		s.log.say(level, "%s", text)
	}
	s.mayEnd(c)
}

func (s *story) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// mayEnd ends everything when exit_on says so.
func (s *story) mayEnd(c engine.Change) {
	exited := c.Kind == engine.Exited && !c.Quick
	wanted := s.exitOn == spec.ExitFatal && c.Kind == engine.GaveUp ||
		s.exitOn == spec.ExitAny && (exited || c.Kind == engine.GaveUp)
	if !wanted || s.over || s.isEnding() {
		return
	}
	s.over = true
	what := "has exited"
	if c.Kind == engine.GaveUp {
		what = "is FATAL"
	}
	s.end(fmt.Sprintf("%s %s, and exit_on is %s", c.Process.ID(), what, s.exitOn))
}

// sentence is what supervisord says of a change; "" is nothing.
func sentence(c engine.Change) (ini.Level, string) {
	name := c.Process.Name
	switch c.Kind {
	case engine.Spawned:
		return ini.LevelInfo, fmt.Sprintf("spawned: '%s' with pid %d", name, c.PID)
	case engine.NotSpawned:
		return ini.LevelInfo, "spawnerr: " + c.Text
	case engine.Started:
		return ini.LevelInfo, fmt.Sprintf("success: %s entered RUNNING state, process has stayed up for > than %d seconds (startsecs)", name, c.Process.StartSecs)
	case engine.Ending:
		return ini.LevelInfo, fmt.Sprintf("waiting for %s to stop", name)
	case engine.Killing:
		return ini.LevelWarn, fmt.Sprintf("killing '%s' (%d) with SIGKILL", name, c.PID)
	case engine.Exited:
		if c.Expected && !c.Quick {
			return ini.LevelInfo, fmt.Sprintf("exited: %s (%s; expected)", name, termination(c.Status))
		}
		return ini.LevelWarn, fmt.Sprintf("exited: %s (%s; not expected)", name, termination(c.Status))
	case engine.Stopped:
		level := ini.LevelWarn
		if c.Expected {
			level = ini.LevelInfo
		}
		return level, fmt.Sprintf("stopped: %s (%s)", name, termination(c.Status))
	case engine.GaveUp:
		why := "too many start retries too quickly"
		if c.Text != "" {
			why = "it cannot be started here"
		}
		return ini.LevelInfo, fmt.Sprintf("gave up: %s entered FATAL state, %s", name, why)
	case engine.Reaped:
		return ini.LevelInfo, fmt.Sprintf("reaped unknown pid %d (%s)", c.PID, termination(c.Status))
	}
	return 0, ""
}

// signalled is what supervisord says at debug of a stop signal.
func signalled(c engine.Change) string {
	group := ""
	if c.Process.StopAsGroup {
		group = "process group "
	}
	return fmt.Sprintf("killing %s (pid %d) %swith signal SIG%s", c.Process.Name, c.PID, group, c.Process.StopSignal)
}

// termination says how a process ended.
func termination(status unix.WaitStatus) string {
	switch {
	case status.Exited():
		return fmt.Sprintf("exit status %d", status.ExitStatus())
	case !status.Signaled():
		return fmt.Sprintf("unknown termination cause 0x%04x", uint32(status))
	}
	name := unix.SignalName(status.Signal())
	if name == "" {
		name = fmt.Sprintf("signal %d", status.Signal())
	}
	if status.CoreDump() {
		name += " (core dumped)"
	}
	return "terminated by " + name
}
