package members

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
)

// askTime is how long one member may take for an answer.
const askTime = 2 * time.Second

// Client speaks to single members of distsuperd's own etcd.
type Client struct {
	cfg  etcd.Config
	keys store.Keys

	mu    sync.Mutex // guards conns
	conns map[string]*clientv3.Client
}

// NewClient takes how the members are reached; its endpoints are where the others are asked for.
func NewClient(cfg etcd.Config, keys store.Keys) *Client {
	return &Client{cfg: cfg, keys: keys, conns: map[string]*clientv3.Client{}}
}

// Close ends its connections.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close() // it only says that its context ended
	}
	c.conns = map[string]*clientv3.Client{}
}

func (c *Client) at(endpoint string) (*clientv3.Client, error) {
	if endpoint == "" {
		return nil, errors.New("it has no endpoint yet")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.conns[endpoint]; conn != nil {
		return conn, nil
	}
	cfg := c.cfg
	cfg.Endpoints = []string{endpoint}
	conn, err := etcd.Dial(cfg)
	if err == nil {
		c.conns[endpoint] = conn
	}
	return conn, err
}

// State is what a member says of itself.
type State struct {
	ID, Leader, Cluster string
	Learner             bool
	Version             string
	Index, Applied      uint64 // of raft's log
	Size                int64
	Alarms              map[string][]string // of all members, by their ids, as this one knows
}

// States are those of the members that answer, by their ids.
type States map[string]State

// Answers reports whether a member does.
func (s States) Answers(p embedded.Peer) bool { _, up := s[p.ID]; return up }

// Status asks one member; no majority is needed.
func (c *Client) Status(ctx context.Context, endpoint string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := c.at(endpoint)
	if err != nil {
		return State{}, err
	}
	s, err := conn.Status(ctx, endpoint)
	if err != nil {
		return State{}, err
	}
	leader := ""
	if s.Leader != 0 {
		leader = hex(s.Leader)
	}
	return State{ID: hex(s.Header.MemberId), Leader: leader, Cluster: hex(s.Header.ClusterId), Learner: s.IsLearner, Version: s.Version,
		Index: s.RaftIndex, Applied: s.RaftAppliedIndex, Size: s.DbSize, Alarms: alarms(s.Errors)}, nil
}

// alarm matches one in the errors of a status, whatever is between the two.
var alarm = regexp.MustCompile(`^memberID:(\d+)\s+alarm:(\w+)$`)

func alarms(errs []string) map[string][]string {
	out := map[string][]string{}
	for _, e := range errs {
		if m := alarm.FindStringSubmatch(e); m != nil {
			if n, err := strconv.ParseUint(m[1], 10, 64); err == nil {
				out[hex(n)] = append(out[hex(n)], m[2])
			}
		}
	}
	return out
}

// List asks one member who all are. Without sure it says what it knows itself, which needs no majority.
func (c *Client) List(ctx context.Context, endpoint string, sure bool) ([]embedded.Peer, string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := c.at(endpoint)
	if err != nil {
		return nil, "", err
	}
	var options []clientv3.OpOption
	if !sure {
		options = append(options, clientv3.WithSerializable())
	}
	resp, err := conn.MemberList(ctx, options...)
	if err != nil {
		return nil, "", err
	}
	return peers(resp.Members), hex(resp.Header.ClusterId), nil
}

// Any asks the endpoints at once, and returns the first answer: those that are lost do not keep it waiting.
func (c *Client) Any(ctx context.Context, sure bool) ([]embedded.Peer, string, error) {
	type answer struct {
		members []embedded.Peer
		cluster string
		err     error
	}
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer, len(c.cfg.Endpoints))
	for _, endpoint := range c.cfg.Endpoints {
		work.Go(func() {
			members, cluster, err := c.List(ctx, endpoint, sure)
			if err != nil {
				err = fmt.Errorf("%s: %w", endpoint, err)
			}
			answers <- answer{members, cluster, err}
		})
	}
	var silent error
	for range c.cfg.Endpoints {
		a := <-answers
		if a.err == nil {
			return a.members, a.cluster, nil
		}
		silent = errors.Join(silent, a.err)
	}
	return nil, "", cmp.Or(silent, errors.New("no endpoint is known"))
}

// Ask asks one member what Admit wants to know of the member id.
func (c *Client) Ask(ctx context.Context, endpoint, id string) (Answer, error) {
	members, cluster, err := c.List(ctx, endpoint, true)
	if err != nil { // without a majority it does not know
		if _, cluster, err = c.List(ctx, endpoint, false); err != nil {
			return Answer{}, err
		}
		members = nil
	}
	a := Answer{Cluster: cluster, Members: members}
	if id != "" {
		a.Record, err = c.record(ctx, endpoint, id)
	}
	return a, err
}

// AskAll asks several members at once, and joins the errors of those that do not answer.
func (c *Client) AskAll(ctx context.Context, endpoints []string, id string) (answers []Answer, silent error) {
	var wg sync.WaitGroup
	all, errs := make([]Answer, len(endpoints)), make([]error, len(endpoints))
	for i, endpoint := range endpoints {
		wg.Go(func() { all[i], errs[i] = c.Ask(ctx, endpoint, id) })
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil {
			answers = append(answers, all[i])
		} else {
			silent = errors.Join(silent, fmt.Errorf("%s: %w", endpoints[i], err))
		}
	}
	return answers, silent
}

// record reads what one member has about a member, which needs no majority.
func (c *Client) record(ctx context.Context, endpoint, id string) (r Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	conn, err := c.at(endpoint)
	if err != nil {
		return r, err
	}
	resp, err := conn.Get(ctx, c.keys.Voter(id), clientv3.WithSerializable())
	if err != nil || len(resp.Kvs) == 0 {
		return r, err
	}
	return r, json.Unmarshal(resp.Kvs[0].Value, &r)
}

// States asks all members at once, and the one of this host by its socket, where that is among the endpoints; those that do not answer are
// missing.
func (c *Client) States(ctx context.Context, list []embedded.Peer) States {
	states := States{}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards states
	ask := func(endpoint string, is func(id string) bool) {
		wg.Go(func() {
			if s, err := c.Status(ctx, endpoint); err == nil && is(s.ID) {
				mu.Lock()
				defer mu.Unlock()
				states[s.ID] = s
			}
		})
	}
	for _, p := range list {
		ask(p.Endpoint, func(id string) bool { return id == p.ID })
	}
	for _, endpoint := range c.cfg.Endpoints {
		if strings.HasPrefix(endpoint, "unix://") {
			ask(endpoint, func(id string) bool {
				return slices.ContainsFunc(list, func(p embedded.Peer) bool { return p.ID == id })
			})
		}
	}
	wg.Wait()
	return states
}

// Lost says what it means for etcd who answers, and what to do, as the function Lost does; "" while there is a majority. Its error is that
// nobody answers at all.
func (c *Client) Lost(ctx context.Context) (string, error) {
	list, _, err := c.Any(ctx, false)
	if err != nil {
		return "", err
	}
	states := c.States(ctx, list)
	return Lost(list, states.Answers), nil
}

// Allow lets the host of a member join again as a new one.
func (c *Client) Allow(ctx context.Context, id string) error {
	r := Record{Replaced: true}
	for _, endpoint := range c.cfg.Endpoints {
		if now, err := c.record(ctx, endpoint, id); err == nil {
			r.Seq = max(r.Seq, now.Seq)
		}
	}
	return c.SetRecord(ctx, id, r)
}

// SetRecord writes it.
func (c *Client) SetRecord(ctx context.Context, id string, r Record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.do(ctx, func(ctx context.Context, conn *clientv3.Client) error {
		_, err := conn.Put(ctx, c.keys.Voter(id), string(b))
		return err
	})
}

// add makes a learner of an address for members, and returns its id.
func (c *Client) add(ctx context.Context, peer string) (id string, err error) {
	err = c.do(ctx, func(ctx context.Context, conn *clientv3.Client) error {
		resp, err := conn.MemberAddAsLearner(ctx, []string{peer})
		if err == nil {
			id = hex(resp.Member.ID)
		}
		return err
	})
	return id, err
}

// Remove takes a member out, and succeeds when it is out already: another one may have done it, or an answer been lost. etcd refuses it
// where no majority of the others would be left (MayRemove).
func (c *Client) Remove(ctx context.Context, id string) error {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return err
	}
	return c.do(ctx, func(ctx context.Context, conn *clientv3.Client) error {
		_, err := conn.MemberRemove(ctx, n)
		switch {
		case errors.Is(err, rpctypes.ErrMemberNotFound):
			return nil
		case errors.Is(err, rpctypes.ErrUnhealthy):
			return fmt.Errorf("%w: the others have not all been connected for 5 s; try again", err)
		}
		return err
	})
}

// promote gives a learner a vote; etcd refuses it until it has caught up.
func (c *Client) promote(ctx context.Context, id string) error {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return err
	}
	return c.do(ctx, func(ctx context.Context, conn *clientv3.Client) error {
		_, err := conn.MemberPromote(ctx, n)
		return err
	})
}

// do asks the endpoints in turn until one has done it. That etcd is full is store.ErrNoSpace.
func (c *Client) do(ctx context.Context, what func(context.Context, *clientv3.Client) error) (err error) {
	for _, endpoint := range c.cfg.Endpoints {
		conn, failed := c.at(endpoint)
		if failed == nil {
			try, cancel := context.WithTimeout(ctx, 2*askTime)
			failed = what(try, conn)
			cancel()
		}
		if errors.Is(failed, rpctypes.ErrNoSpace) {
			return store.ErrNoSpace
		}
		if failed == nil {
			return nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %w", endpoint, failed))
	}
	return cmp.Or(err, errors.New("no endpoint is known"))
}

func peers(members []*pb.Member) []embedded.Peer {
	out := make([]embedded.Peer, 0, len(members))
	for _, m := range members {
		p := embedded.Peer{ID: hex(m.ID), Name: m.Name, Learner: m.IsLearner}
		if len(m.PeerURLs) > 0 {
			p.Peer = m.PeerURLs[0]
		}
		if len(m.ClientURLs) > 0 {
			p.Endpoint = m.ClientURLs[0]
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b embedded.Peer) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return out
}

func hex(id uint64) string { return strconv.FormatUint(id, 16) }
