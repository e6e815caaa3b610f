package etcd

import (
	"context"
	"net"
	"slices"
	"strings"

	"go.uber.org/zap"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// slots are how many endpoints a store that follows its members has: as many as distsuperd's own etcd has members at most. Fewer
// members have several each.
const slots = 5

// follow takes the endpoints of the members as one of them tells them, if the store is to follow them. Learners serve nobody, and with
// no more than one member there is nobody else.
func (s *adapter) follow(ctx context.Context) {
	if !s.cfg.Follow {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout/4) // the servers have to be asked, too
	defer cancel()
	now, sure := s.list(ctx)
	if len(now) == 0 || len(now) < 2 && !s.several.Load() {
		return
	}
	s.several.Store(true)
	if !s.move(now) {
		return
	}
	s.log.Info("etcd has other members now", zap.Strings("endpoints", now))
	if sure && s.cfg.Learned != nil {
		s.cfg.Learned(now)
	}
}

// list are the endpoints of the members that vote. What is only known, since nobody answers, is not sure.
func (s *adapter) list(ctx context.Context) (now []string, sure bool) {
	list, err := s.cli.MemberList(ctx)
	if err != nil {
		if s.cfg.Known != nil {
			now = s.cfg.Known()
		}
		return slices.Sorted(slices.Values(now)), false
	}
	for _, m := range list.Members {
		for _, u := range m.ClientURLs {
			if !m.IsLearner && strings.HasPrefix(u, "https://") {
				now = append(now, u)
			}
		}
	}
	return slices.Sorted(slices.Values(now)), true
}

// move makes these the endpoints, and reports whether they have not been that before. What is there stays as it is, with its connection.
func (s *adapter) move(addresses []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(addresses, s.addresses) {
		return false
	}
	s.addresses = slices.Clone(addresses)
	for _, c := range s.clients {
		c.SetEndpoints(addresses...)
	}
	old := s.endpoints
	s.endpoints = make([]*endpoint, len(old))
	for i := range s.endpoints {
		s.endpoints[i] = s.pick(old, addresses[i%len(addresses)], i)
	}
	for _, e := range old {
		if !slices.Contains(s.endpoints, e) {
			e.close()
		}
	}
	return true
}

// pick is the endpoint of an address: one of old, or of those before the i-th, or a new one.
func (s *adapter) pick(old []*endpoint, address string, i int) *endpoint {
	for _, e := range slices.Concat(s.endpoints[:i], old) {
		if e.addr == address {
			return e
		}
	}
	return &endpoint{cfg: s.cfg, login: s.login, addr: address}
}

// distinct are the endpoints now, each once.
func (s *adapter) distinct() []*endpoint {
	var out []*endpoint
	for _, e := range s.each() {
		if !s.cfg.Follow || !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}

// each are the endpoints now.
func (s *adapter) each() []*endpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.endpoints)
}

// onlyOverNetwork speaks TLS to everybody but over a socket of this host, where the kernel says who is at the other end.
type onlyOverNetwork struct {
	credentials.TransportCredentials
}

func (c onlyOverNetwork) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if _, here := conn.(*net.UnixConn); here {
		return insecure.NewCredentials().ClientHandshake(ctx, authority, conn)
	}
	return c.TransportCredentials.ClientHandshake(ctx, authority, conn)
}

func (c onlyOverNetwork) Clone() credentials.TransportCredentials {
	return onlyOverNetwork{c.TransportCredentials.Clone()}
}
