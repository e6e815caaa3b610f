package member

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"

	"github.com/distsuper/distsuper/pkg/promise"
	"github.com/distsuper/distsuper/pkg/statedir"
)

// file is what is on disk.
type file struct {
	Record promise.Record `json:"record"`
	// Machines are the fingerprints by which machines are known.
	Machines map[string]string `json:"machines,omitempty"`
	// Farewell is what machines were told at the end of this life.
	Farewell *Farewell `json:"farewell,omitempty"`
}

// Disk keeps files. Write replaces one as a whole.
type Disk interface {
	Read(path string) ([]byte, error)
	Write(path string, text []byte) error
}

// ownDisk is this host's.
type ownDisk struct{}

func (ownDisk) Read(path string) ([]byte, error)     { return os.ReadFile(path) }
func (ownDisk) Write(path string, text []byte) error { return statedir.WriteFile(path, text) }

// load reads the file; one that is not there is empty.
func load(d Disk, path string) (f file, err error) {
	text, err := d.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		return file{}, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

// save writes down how everything is now. Whoever waits for it may rely on all that was so when he called.
func (m *Member) save() error {
	m.disk.Lock()
	defer m.disk.Unlock()
	m.mu.Lock()
	f := file{Record: m.grantor.Now(), Machines: maps.Clone(m.machines), Farewell: m.farewell}
	m.mu.Unlock()
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write %s: %w", m.o.File, err)
	}
	if err := m.o.Disk.Write(m.o.File, append(text, '\n')); err != nil {
		return err
	}
	m.mu.Lock()
	m.grantor.Wrote(f.Record)
	m.mu.Unlock()
	return nil
}
