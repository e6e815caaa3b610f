package contain

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/hold"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/pkg/swept"
)

const (
	stateName = "keeper.json"
	lockName  = "keeper.lock"
	// Of each list of the state file the newest entries matter.
	maxKeepers  = 1000
	maxLeft     = 1000
	maxOutcomes = 5000
)

// State is the content of keeper.json: what a later keeper, or the guardian, needs to find what this
// one started.
type State struct {
	// Keepers that ran on this state directory, newest first, the present one among them.
	Keepers []KeeperRecord `json:"keepers"`
	// Left are the runs whose children were left alone by leave_children.
	Left []Mark `json:"left,omitempty"`
	// Outcomes are how runs ended of which no agent took note: the next one tells it. An entry that was told does no harm.
	Outcomes []keeper.Outcome `json:"outcomes,omitempty"`
}

// KeeperRecord is one keeper that ran on a state directory.
type KeeperRecord struct {
	Instance string    `json:"instance"`
	BootID   string    `json:"boot_id"`
	Cgroup   string    `json:"cgroup,omitempty"` // its base, where it had one
	Started  time.Time `json:"started"`
	// Host is where it ran. The directory may be a copy of another host's, whose keepers and processes are none of ours.
	Host api.HostIdentity `json:"host,omitzero"`
}

// A StateFile is the state directory's file, held by one keeper at a time.
//
// The directory may be removed while the keeper lives. Then a next keeper would know nothing of what this one runs; so the hold of the
// directory's name keeps it out until the file and its lock are made anew (Files).
type StateFile struct {
	path string
	hold *hold.Hold // nil where a stranger has the name

	mu     sync.Mutex // guards what follows, and the way of data to the disk
	lock   *os.File
	data   State
	closed bool
}

// lockWait is how long a keeper waits for one that is just dying.
const lockWait = 3 * time.Second

// OpenState locks the directory, which is made when it is not there, and reads what is in it.
func OpenState(dir string) (*StateFile, error) {
	s := &StateFile{path: filepath.Join(dir, stateName)}
	if err := os.MkdirAll(dir, 0o700); err != nil { // its name is told by where it is, behind all links
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	for deadline := time.Now().Add(lockWait); ; time.Sleep(10 * time.Millisecond) {
		err := s.take(dir)
		if err == nil {
			break
		}
		if other := (*takenError)(nil); !errors.As(err, &other) || time.Now().After(deadline) {
			s.Close()
			return nil, err
		}
	}
	var err error
	if s.data, err = ReadState(s.path); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// takenError says that another keeper has the directory.
type takenError struct {
	dir string
	pid int // 0 where it is not known
}

func (e *takenError) Error() string {
	who := ""
	if e.pid != 0 {
		who = fmt.Sprintf(" (pid %d)", e.pid)
	}
	return fmt.Sprintf("another keeper%s runs in %s; stop it first, or use another state directory", who, e.dir)
}

// take takes the directory's name and its lock.
func (s *StateFile) take(dir string) error {
	if s.hold == nil {
		held, pid, err := hold.Take(keeperName(dir))
		if err != nil {
			return err
		}
		if pid != 0 {
			return &takenError{dir, pid}
		}
		s.hold = held
	}
	lock, err := lockDirectory(dir)
	s.lock = lock
	return err
}

// keeperName is what the keeper of a directory holds as long as it lives.
func keeperName(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	sum := sha256.Sum256([]byte(dir))
	return "keeper-" + hex.EncodeToString(sum[:8])
}

func lockDirectory(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the state directory: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, &takenError{dir: dir}
	}
	return file, nil
}

// Files are the lock and the file, which have to stay as long as the keeper lives.
func (s *StateFile) Files() []swept.File {
	return []swept.File{
		{Path: s.lockPath(), Intact: s.locked, Renew: s.lockAnew},
		{Path: s.path, Intact: s.written, Renew: s.writeAnew},
	}
}

func (s *StateFile) lockPath() string { return filepath.Join(filepath.Dir(s.path), lockName) }

// locked reports whether what is locked is still the lock of the directory.
func (s *StateFile) locked() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	there, err := os.Stat(s.lockPath())
	if err != nil {
		return false
	}
	ours, err := s.lock.Stat()
	return err == nil && os.SameFile(there, ours)
}

// lockAnew locks the directory that has the name now. It takes nothing from another keeper.
func (s *StateFile) lockAnew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fs.ErrClosed
	}
	lock, err := lockDirectory(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	s.lock.Close()
	s.lock = lock
	return nil
}

// written reports whether the file is there. Nobody but us writes it.
func (s *StateFile) written() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := os.Stat(s.path)
	return err == nil || s.closed
}

// writeAnew writes the file in the directory that has the name now, which is ours: what the keepers of this life have left is as much
// within its next keeper's reach as it was.
func (s *StateFile) writeAnew() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.data.Keepers) == 0 {
		return fs.ErrClosed
	}
	directory, err := hostid.Directory(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	ours := s.data.Keepers[0].Host
	for i, k := range s.data.Keepers {
		if ours.SameLife(k.Host) {
			s.data.Keepers[i].Host.Directory = directory
		}
	}
	return s.writeLocked()
}

// ReadState reads a state file; one that is not there is empty.
func ReadState(path string) (State, error) {
	var data State
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return data, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &data)
	}
	if err != nil {
		return data, fmt.Errorf("read %s, which tells what earlier keepers may have left running: %w; "+
			"when nothing of them is alive, for instance after a reboot, remove the file", path, err)
	}
	return data, nil
}

// AddKeeper writes the present keeper down before it starts anything.
func (s *StateFile) AddKeeper(k KeeperRecord) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.Keepers = slices.Insert(s.data.Keepers, 0, k)
	s.data.Keepers = s.data.Keepers[:min(len(s.data.Keepers), maxKeepers)]
	return s.writeLocked()
}

// AddLeft writes down that the children of a run are left alone.
func (s *StateFile) AddLeft(m Mark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.Left = slices.Insert(s.data.Left, 0, m)
	s.data.Left = s.data.Left[:min(len(s.data.Left), maxLeft)]
	return s.writeLocked()
}

// AddOutcomes writes down how runs ended.
func (s *StateFile) AddOutcomes(outcomes []keeper.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.Outcomes = slices.Concat(outcomes, s.data.Outcomes)
	s.data.Outcomes = s.data.Outcomes[:min(len(s.data.Outcomes), maxOutcomes)]
	return s.writeLocked()
}

// writeLocked replaces the file as a whole.
func (s *StateFile) writeLocked() error {
	text, err := json.Marshal(s.data)
	if err != nil {
		return fmt.Errorf("write %s: %w", s.path, err)
	}
	return statedir.WriteFile(s.path, append(text, '\n'))
}

// RemoveState removes what a keeper keeps in its directory, after its end. The caller sees to it that no other begins
// there meanwhile. Where children were left alone all of it stays: the guardian, which ends last, must know them.
func RemoveState(dir string) error {
	data, err := ReadState(filepath.Join(dir, stateName))
	if err != nil || len(data.Left) > 0 {
		return err
	}
	for _, name := range []string{stateName, lockName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Path is where the file is.
func (s *StateFile) Path() string { return s.path }

// State is what the file says.
func (s *StateFile) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Keepers: slices.Clone(s.data.Keepers), Left: slices.Clone(s.data.Left), Outcomes: slices.Clone(s.data.Outcomes)}
}

// Close lets another keeper have the directory.
func (s *StateFile) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.lock != nil {
		s.lock.Close()
	}
	if s.hold != nil {
		s.hold.Close()
	}
}

// Dead returns the instances of the keepers of which the identity of this host proves so that nothing is alive, newest first.
func (d State) Dead(host api.HostIdentity, proof api.Proof) []string {
	var ids []string
	for _, k := range d.Keepers {
		if host.DeathOf(k.Host) == proof {
			ids = append(ids, k.Instance)
		}
	}
	return ids
}

// OutcomesOf are those of the given instances.
func (d State) OutcomesOf(instances ...string) []keeper.Outcome {
	return slices.DeleteFunc(slices.Clone(d.Outcomes), func(o keeper.Outcome) bool { return !slices.Contains(instances, o.Instance) })
}

// LeftMarks is Left as a set.
func (d State) LeftMarks() map[Mark]bool {
	left := map[Mark]bool{}
	for _, m := range d.Left {
		left[m] = true
	}
	return left
}
