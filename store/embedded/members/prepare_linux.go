package members

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
)

// Host is the member of this host, or who is to become one.
type Host struct {
	Config embedded.Config
	// Peers are the endpoints of the members that it joins; without any, and without data, it is the first.
	Peers []string
	Keys  store.Keys
	Log   *zap.Logger

	dir embedded.Dir
	// of Tend
	client   *Client
	changed  func()
	promoted bool   // somebody, just now
	noted    uint64 // how far raft's log was then
}

// New makes it of how the etcd of this host is started, and adopts the authorities of those that it joins.
func New(cfg embedded.Config, peers []string, a embedded.Authorities, keys store.Keys, log *zap.Logger) (*Host, error) {
	h := &Host{Config: cfg, Keys: keys, Log: log}
	for _, p := range peers {
		if p != embedded.ClientURL(cfg.Listen) {
			h.Peers = append(h.Peers, p)
		}
	}
	var err error
	if h.dir, err = embedded.DirOf(cfg.StateDir); err != nil {
		return nil, err
	}
	if err := h.dir.Make(); err != nil {
		return nil, err
	}
	if err := h.dir.Adopt(a); err != nil {
		return nil, err
	}
	if cfg.Listen != "" { // who asks the others needs a certificate
		return h, h.dir.MakeCertificates(cfg.Listen)
	}
	return h, nil
}

// others is how the others are reached.
func (h *Host) others(m embedded.Membership) etcd.Config {
	endpoints := embedded.Endpoints(m.Others())
	for _, p := range h.Peers {
		if !m.Alone && !slices.Contains(endpoints, p) && !slices.ContainsFunc(m.Members, func(o embedded.Peer) bool { return o.ID == m.ID && o.Endpoint == p }) {
			endpoints = append(endpoints, p)
		}
	}
	return h.config(endpoints)
}

func (h *Host) config(endpoints []string) etcd.Config {
	return etcd.Config{Endpoints: endpoints, CA: h.dir.TLS("ca.pem"), Cert: h.dir.TLS("client.pem"), Key: h.dir.TLS("client.key")}
}

// Prepare is what comes before each start of this host's etcd: it asks the others whether it may start, and joins them if it has to. Its
// error is why etcd must not start.
func (h *Host) Prepare(ctx context.Context) error {
	m, err := h.dir.Membership()
	if err != nil {
		return err
	}
	if m.GoAlone {
		if alone, err := h.goAlone(ctx, m); alone || err != nil {
			return err
		}
		m.GoAlone = false
	}
	own := Own{Name: h.Config.Name, Peer: embedded.PeerURL(h.Config.Peer), Data: h.dir.HasData(), Membership: m}
	if own.Data && m.ID == "" && len(h.Peers) > 0 && !m.Alone {
		return fmt.Errorf("this host has run an etcd of its own: move %s away, and it joins %s ([embedded-etcd] peers)", h.dir.Data(), strings.Join(h.Peers, ", "))
	}
	others := h.others(m)
	switch {
	case len(others.Endpoints) > 0:
	case !own.Data && len(m.Others()) > 0:
		return errors.New("the data of this host's etcd is gone, and it alone had a vote; if another host has a copy, run \"distsuperctl members recover\" there")
	case !own.Data && h.Config.Peer != "" && !m.Alone:
		return h.mayBegin(ctx, m, listenTime)
	default:
		return nil
	}
	if own.Seq, err = h.seq(); err != nil {
		return err
	}
	c := NewClient(others, h.Keys)
	defer c.Close()
	answers, silent, err := h.ask(ctx, c, others.Endpoints, m.ID)
	if err != nil {
		return err
	}
	verdict, err := Admit(own, true, answers)
	switch {
	case err != nil && len(answers) == 0:
		return fmt.Errorf("%w (%w)", err, silent)
	case err != nil || verdict == Start:
		return err
	}
	joined, err := h.join(ctx, c)
	if err != nil {
		return err
	}
	if verdict == JoinAnew {
		aside, err := h.dir.PutAside("replaced")
		if err != nil {
			return err
		}
		h.Log.Warn("this host's etcd joins as a new member; its old data was put aside, and can be deleted", zap.String("directory", aside))
	}
	return h.dir.Remember(joined)
}

// goAlone makes this host's etcd the first of a new one; what the old one has was saved before. It does not while the others have a majority:
// then it was asked for in vain, or long ago by a command that was interrupted.
func (h *Host) goAlone(ctx context.Context, m embedded.Membership) (alone bool, err error) {
	c := NewClient(h.others(m), h.Keys)
	defer c.Close()
	if _, _, err := c.Any(ctx, true); err == nil {
		h.Log.Warn("this host does not go on without the other members of etcd, since they have a majority")
		m.GoAlone = false
		return false, h.dir.Remember(m)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	aside, err := h.dir.PutAside("lost")
	if err != nil {
		return false, err
	}
	h.Log.Warn("this host goes on with a new etcd, without the other members; its old data was put aside", zap.String("directory", aside))
	return true, h.dir.Remember(embedded.Membership{Alone: true})
}

// askRounds is how often the others are asked before they count as silent: a busy host is not.
const askRounds = 3

// ask gives what the others answer, all asked at once, and why the rest are silent. That its time was over is an error: then nobody was
// silent.
func (h *Host) ask(ctx context.Context, c *Client, endpoints []string, id string) (answers []Answer, silent, err error) {
	for round := 0; len(answers) == 0 && round < askRounds; round++ {
		if round > 0 && !clock.Sleep(ctx, time.Second) {
			break
		}
		answers, silent = c.AskAll(ctx, endpoints, id)
	}
	return answers, silent, ctx.Err()
}

// recheck stops this host's etcd if it started while nobody could be asked, and should not have.
func (h *Host) recheck(ctx context.Context, m embedded.Membership) error {
	others := h.others(m)
	if len(others.Endpoints) == 0 {
		return nil
	}
	own := Own{Name: h.Config.Name, Peer: embedded.PeerURL(h.Config.Peer), Data: true, Membership: m}
	var err error
	if own.Seq, err = h.seq(); err != nil {
		return err
	}
	answers, _ := h.client.AskAll(ctx, others.Endpoints, m.ID) // who is silent may be asked another time
	if verdict, err := Admit(own, true, answers); verdict == Start && err == nil {
		return nil
	}
	h.Log.Warn("this host's etcd should not have started, which nobody could say then; it is ended")
	return embedded.Stop(ctx, h.Config.StateDir) // Keep asks again, and tells why it stays down
}

// join adds this host as a learner, and returns with what its etcd starts. A learner at its address is of an earlier attempt, and has no
// vote that anybody counts on.
func (h *Host) join(ctx context.Context, c *Client) (m embedded.Membership, err error) {
	peer := embedded.PeerURL(h.Config.Peer)
	if err := h.mayListen(); err != nil {
		return m, err
	}
	members, cluster, err := c.Any(ctx, true)
	if err != nil {
		return m, fmt.Errorf("join etcd: %w", err)
	}
	for _, p := range members {
		if p.Peer != peer {
			continue
		}
		if !p.Learner {
			return m, &Refusal{"another member has this host's address", p.ID}
		}
		if err := c.Remove(ctx, p.ID); err != nil {
			return m, fmt.Errorf("join etcd: remove what an earlier attempt left: %w", err)
		}
		if !clock.Sleep(ctx, time.Second) { // etcd makes an id of the address and the second, and takes none a second time
			return m, ctx.Err()
		}
	}
	id, err := c.add(ctx, peer)
	if err != nil {
		return m, fmt.Errorf("join etcd as %s: %w", peer, err)
	}
	joining := []string{h.Config.Name + "=" + peer}
	for _, p := range members {
		if p.Peer != peer {
			joining = append(joining, p.ID+"="+p.Peer)
		}
	}
	h.Log.Info("this host's etcd joins the others", zap.String("member", id), zap.String("address", peer))
	members = append(slices.DeleteFunc(members, func(p embedded.Peer) bool { return p.Peer == peer }), embedded.Peer{ID: id, Peer: peer, Learner: true})
	return embedded.Membership{ID: id, Cluster: cluster, Joining: strings.Join(joining, ","), Joins: h.Config.Name, Members: members}, nil
}

// mayListen tries the addresses before anybody is told of them.
func (h *Host) mayListen() error {
	for key, address := range map[string]string{"listen": h.Config.Listen, "peer_listen": h.Config.Peer} {
		if address == "" {
			return fmt.Errorf("[embedded-etcd] %s is not set, and a member has to be reached by the others", key)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("[embedded-etcd] %s = %s: %w (is it an address of this host?)", key, address, err)
		}
		_ = l.Close() // it was only tried
	}
	return nil
}

func (h *Host) seqFile() string { return filepath.Join(h.dir.Data(), "distsuper-seq") }

// seq is the sequence number in the data.
func (h *Host) seq() (int64, error) {
	b, err := os.ReadFile(h.seqFile())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, nil // torn, which the others judge
	}
	return n, nil
}

// note raises it: first in the data, so that a crash between the two is no old copy.
func (h *Host) note(ctx context.Context, c *Client, id string) error {
	n, err := h.seq()
	if err != nil {
		return err
	}
	if err := statedir.WriteFile(h.seqFile(), []byte(strconv.FormatInt(n+1, 10)+"\n")); err != nil {
		return err
	}
	return c.SetRecord(ctx, id, Record{Seq: n + 1})
}
