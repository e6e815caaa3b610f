package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/ownership"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/trust"
)

// addressBook is how the machines of a fleet are reached and spoken to, as etcd said last: for the time when it says nothing. It
// is kept in a file of one user, since the signing key opens every agent. Whoever reads that key in etcd has it already.
type addressBook struct {
	At          time.Time                  `json:"at"`
	Machines    map[string]api.MachineInfo `json:"machines"`
	Controllers []api.Controller           `json:"controllers"`
	SigningKey  string                     `json:"signing_key,omitempty"`
	Endpoints   []string                   `json:"endpoints,omitempty"` // of the members of distsuperd's own etcd
}

const (
	// bookAge is how old the file becomes before it is written again.
	bookAge = time.Minute
	// bookLimit is the time that this may cost a command.
	bookLimit = time.Second
	// bookKept is how long the file of a fleet is kept that is not asked any more.
	bookKept = 90 * 24 * time.Hour
)

// bookPath is the file of the fleet that is configured; "" is none.
func (c *ctl) bookPath() string {
	switch {
	case c.cfg == nil || c.cfg.Ctl.MachinesFile == config.NoFile:
		return ""
	case c.cfg.Ctl.MachinesFile != "":
		return c.cfg.Ctl.MachinesFile
	}
	endpoints := c.cfg.Etcd.Endpoints // by these a fleet is known, wherever the members of its etcd are by now
	if c.cfg.UsesEmbedded() {
		own, err := embedded.Endpoint(c.cfg.Controller.StateDir)
		if err != nil {
			return ""
		}
		endpoints = []string{own}
	}
	id := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(endpoints)), " ") + " " + c.cfg.Etcd.Prefix))
	return inStateFolder("machines-" + hex.EncodeToString(id[:6]) + ".json")
}

// remember writes the book anew from what a command has read, with a few small reads beside it, at most once a minute. What keeps
// it from that is no failure of the command.
func (c *ctl) remember(ctx context.Context) {
	if c.opened == nil || c.client.Last() == nil || c.deployment.oneMachine() {
		return
	}
	path := c.bookPath()
	if info, err := os.Stat(path); path == "" || err == nil && time.Since(info.ModTime()) < bookAge {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, bookLimit)
	defer cancel()
	book, _ := readBook(path) // one that cannot be trusted is replaced
	if book.Machines == nil || c.client.Last().Whole() {
		book.Machines = map[string]api.MachineInfo{}
	}
	for _, m := range c.client.Last().Machines() {
		if m.Info != nil {
			book.Machines[m.Name] = *m.Info
		}
	}
	var err error
	if book.Controllers, err = c.controllers(ctx); err != nil {
		return
	}
	key, known := keyFor(trust.SigningKey(ctx, c.kv, c.keys))
	if !known {
		return
	}
	book.SigningKey, book.At = key, time.Now().Truncate(time.Second)
	if c.opened.store.Follow {
		c.members(ctx) // from which kv learns its endpoints
		book.Endpoints = slices.Compact(slices.Sorted(slices.Values(c.kv.Endpoints())))
	}
	if book.write(path) == nil {
		removeOldBooks(path)
	}
}

// keyFor is the signing key that a book notes: none for a user who may not read it. Where it is not known, what was noted is worth more.
func keyFor(key []byte, err error) (text string, known bool) {
	return string(key), err == nil || errors.Is(err, store.ErrPermission)
}

// readBook reads a book that only this user, and root, has a say in.
func readBook(path string) (b addressBook, err error) {
	if path == "" {
		return b, fs.ErrNotExist
	}
	if err := ownership.CheckPath(path, os.Geteuid()); err != nil {
		return b, err
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return addressBook{}, fmt.Errorf("read how machines are reached: %w", err)
	}
	return b, nil
}

// write replaces the file as a whole. It is this user's alone from its first byte on.
func (b addressBook) write(path string) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := ownership.CheckPath(dir, os.Geteuid()); err != nil {
		return err
	}
	_, err = writeWhole(path, true, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	return err
}

// removeOldBooks removes those of fleets that nobody has asked for long, beside a book that has the default place. In any other
// directory such a name may be anybody's.
func removeOldBooks(beside string) {
	if beside != inStateFolder(filepath.Base(beside)) {
		return
	}
	books, _ := filepath.Glob(filepath.Join(filepath.Dir(beside), "machines-*.json"))
	for _, path := range books {
		if info, err := os.Lstat(path); err == nil && time.Since(info.ModTime()) > bookKept {
			_ = os.Remove(path)
		}
	}
}

// names are the machines in the book.
func (b addressBook) names() []string { return slices.Sorted(maps.Keys(b.Machines)) }
