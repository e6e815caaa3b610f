package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/statedir"
)

// Membership is what a member of an etcd of several remembers of itself and of the others, beside its data. One that is
// alone, and always was, has none.
type Membership struct {
	// ID and Cluster are etcd's own, as etcdctl prints them. "" is one that has not joined yet.
	ID      string `json:"id,omitempty"`
	Cluster string `json:"cluster,omitempty"`
	// Joining is what etcd needs for its first start as another member: all members as NAME=PEER-URL, under which this one has the
	// name Joins. It is not looked at once there is data.
	Joining string `json:"joining,omitempty"`
	Joins   string `json:"joins,omitempty"`
	// GoAlone: at its next start the data is put aside, and it begins a new etcd. Alone: it has done so, and joins none of the
	// members that the configuration names.
	GoAlone bool `json:"go_alone,omitempty"`
	Alone   bool `json:"alone,omitempty"`
	// Elsewhere is the address for members of this host, without data, at which others were seen to look for one: with that address it
	// begins no etcd of its own.
	Elsewhere string `json:"elsewhere,omitempty"`
	// Members are all of them.
	Members []Peer `json:"members,omitempty"`
}

// Peer is a member of an etcd of several.
type Peer struct {
	ID       string `json:"id"`
	Name     string `json:"name"`               // "" until it has started once
	Endpoint string `json:"endpoint,omitempty"` // for clients; "" until it has started once
	Peer     string `json:"peer"`               // for other members
	Learner  bool   `json:"learner,omitempty"`  // it has a copy and no vote yet
}

// Others are the members but for this one.
func (m Membership) Others() []Peer {
	return slices.DeleteFunc(slices.Clone(m.Members), func(p Peer) bool { return p.ID == m.ID })
}

// Endpoints are those at which clients are served: learners serve nobody.
func Endpoints(members []Peer) []string {
	var out []string
	for _, p := range members {
		if !p.Learner && strings.HasPrefix(p.Endpoint, "https://") {
			out = append(out, p.Endpoint)
		}
	}
	return out
}

// Membership reads what is remembered, the zero value where there is nothing.
func (d Dir) Membership() (m Membership, err error) {
	b, err := os.ReadFile(d.file("members.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil {
		return m, fmt.Errorf("read who the members of etcd are: %s: %w", d.file("members.json"), err)
	}
	return m, nil
}

// Remember writes it, unless it stands there already.
func (d Dir) Remember(m Membership) error {
	if now, err := d.Membership(); err == nil && equal(now, m) {
		return nil
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return statedir.WriteFile(d.file("members.json"), append(b, '\n'))
}

func equal(a, b Membership) bool {
	return a.ID == b.ID && a.Cluster == b.Cluster && a.Joining == b.Joining && a.Joins == b.Joins && a.GoAlone == b.GoAlone && a.Alone == b.Alone &&
		a.Elsewhere == b.Elsewhere && slices.Equal(a.Members, b.Members)
}

// GoAlone makes the next start that of a new etcd.
func (d Dir) GoAlone() error {
	m, err := d.Membership()
	if err != nil {
		return err
	}
	m.GoAlone = true
	return d.Remember(m)
}

// HasData reports whether etcd has run in the directory.
func (d Dir) HasData() bool {
	_, err := os.Stat(d.Data() + "/member/wal")
	return err == nil
}

// PutAside moves etcd's data away, so that its next start is the first. Nothing is deleted. It returns the new name, "" where there
// was nothing.
func (d Dir) PutAside(why string) (string, error) {
	if _, err := os.Lstat(d.Data()); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for i := 1; ; i++ {
		to := fmt.Sprintf("%s-%s-%d", d.Data(), why, i)
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		return to, os.Rename(d.Data(), to)
	}
}

// Several reports whether the etcd of a state directory has other members, or is to join some.
func Several(stateDir string, peers []string) (bool, error) {
	d, err := DirOf(stateDir)
	if err != nil {
		return false, err
	}
	m, err := d.Membership()
	return len(peers) > 0 && !m.Alone || len(m.Others()) > 0, err
}

// Reach is how clients on this host reach the etcd of a state directory: by its socket while it is alone, else by all
// members. The names of certificates are "" where there are none.
type Reach struct {
	Endpoints     []string
	CA, Cert, Key string
}

// ReachOf tells it, whether etcd runs or not. peers are the endpoints of the members that it joins.
func ReachOf(stateDir string, peers []string) (r Reach, err error) {
	d, err := DirOf(stateDir)
	if err != nil {
		return r, err
	}
	m, err := d.Membership()
	if err != nil {
		return r, err
	}
	if r.Endpoints = Endpoints(m.Members); len(r.Endpoints) == 0 && !m.Alone {
		r.Endpoints = peers
	}
	if _, err := os.Stat(d.TLS("client.pem")); err == nil {
		r.CA, r.Cert, r.Key = d.TLS("ca.pem"), d.TLS("client.pem"), d.TLS("client.key")
	}
	if len(r.Endpoints) == 0 || len(m.Members) == 1 && m.Members[0].ID == m.ID {
		r.Endpoints = []string{"unix://" + d.Socket()}
	}
	return r, nil
}
