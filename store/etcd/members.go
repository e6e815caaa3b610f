package etcd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/distsuper/distsuper/store"
)

// Members asks all endpoints at once; what did not answer in time has Err. A store that follows its members looks who they are first.
func (s *adapter) Members(ctx context.Context) []store.Member {
	ctx, cancel := within(ctx, readTimeout)
	defer cancel()
	s.follow(ctx)
	endpoints := s.distinct()
	out := make([]store.Member, len(endpoints))
	var wg sync.WaitGroup
	for i, e := range endpoints {
		wg.Go(func() { out[i] = e.status(ctx) })
	}
	wg.Wait()
	ordered := true
	for _, m := range out {
		ordered = ordered && m.Err == nil && !before(m.Version, "3.4.25", "3.5.8")
	}
	if ordered {
		s.progressOrdered.Store(true)
	}
	return out
}

func (e *endpoint) status(ctx context.Context) store.Member {
	m := store.Member{Endpoint: e.addr}
	conn, err := e.conn()
	var resp *pb.StatusResponse
	if err == nil {
		resp, err = pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	}
	if err != nil {
		m.Err = fail(ctx, err, "status of", e.addr)
		return m
	}
	m.Version, m.DBSize = resp.Version, resp.DbSize
	m.Rev, m.Term, m.Cluster = resp.Header.Revision, resp.RaftTerm, resp.Header.ClusterId
	m.Leader = resp.Leader != 0 && resp.Leader == resp.Header.MemberId
	m.Learner = resp.IsLearner
	m.Alarms = alarms(resp.Errors)
	return m
}

// alarms picks them out of the errors of a status, which reads "memberID:1 alarm:NOSPACE".
func alarms(errs []string) []string {
	var out []string
	for _, name := range []string{"NOSPACE", "CORRUPT"} {
		for _, e := range errs {
			if strings.Contains(e, "alarm:"+name) {
				out = append(out, name)
				break
			}
		}
	}
	return out
}

// FencingWarning is empty when all of these etcd versions keep a lease as long as they promise. Earlier
// ones can revoke leases of live machines after an election (etcd issue 15247), or answer
// the renewal of a lease that is gone (20615). Versions that are "" are skipped.
func FencingWarning(versions []string) string {
	for _, v := range versions {
		if v != "" && before(v, "3.4.38", "3.5.23", "3.6.5") {
			return fmt.Sprintf("fencing is not guaranteed: etcd %s can end a lease too early or renew one that is gone; "+
				"upgrade etcd to 3.4.38, 3.5.23, 3.6.5 or a later one", v)
		}
	}
	return ""
}

// before reports whether v comes before the fix of its minor version. fixes are in rising order; a minor
// version below them all is before, one above them all is not, and what is no version is before.
func before(v string, fixes ...string) bool {
	have, ok := parseVersion(v)
	if !ok {
		return true
	}
	for _, f := range fixes {
		fix, _ := parseVersion(f)
		if have[0] < fix[0] || have[0] == fix[0] && have[1] < fix[1] {
			return true
		}
		if have[0] == fix[0] && have[1] == fix[1] {
			return have[2] < fix[2]
		}
	}
	return false
}

func parseVersion(v string) (out [3]int, ok bool) {
	v, _, _ = strings.Cut(v, "-") // 3.6.0-rc.1
	parts := strings.Split(v, ".")
	if len(parts) != 3 {
		return out, false
	}
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return out, false
		}
		out[i] = n
	}
	return out, true
}
