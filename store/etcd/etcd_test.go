package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/proxy"
)

// startEtcd runs a real etcd, which a short run does without. Its tests mostly wait, so they run together.
func startEtcd(t *testing.T, members int, flags ...string) *etcdproc.Cluster {
	t.Helper()
	t.Parallel()
	gate.Etcd(t)
	return etcdproc.Start(t, members, flags...)
}

func open(t *testing.T, endpoints ...string) store.KV {
	t.Helper()
	kv, err := etcd.Open(t.Context(), etcd.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kv.Close() })
	return kv
}

// eventually waits for f to return "", and fails with what it said last.
func eventually(t *testing.T, limit time.Duration, f func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if last = f(); last == "" {
			return
		}
	}
	t.Fatalf("after %v: %s", limit, last)
}

func put(t *testing.T, kv store.KV, key, value string) int64 {
	t.Helper()
	res, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put(key, []byte(value))}})
	if err != nil {
		t.Fatal(err)
	}
	return res.Rev
}

func keys(t *testing.T, kv store.KV, prefix string) []store.Entry {
	t.Helper()
	res, err := kv.Range(t.Context(), store.Range{Key: prefix, Prefix: true})
	if err != nil {
		t.Fatal(err)
	}
	return res.Entries
}

func TestWriteWhoseAnswerIsLostHappensOnceAndIsUnavailable(t *testing.T) {
	c := startEtcd(t, 1)
	p := proxy.New(t, "tcp", c.Members[0].Client)
	kv, sure := open(t, p.Addr()), open(t, c.Members[0].Client)
	before := put(t, kv, "/a", "0")
	p.LoseAnswers()
	began := time.Now()
	_, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/a", []byte("1"))}})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("a write without an answer: %v", err)
	}
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("a write without a deadline took %v", took)
	}
	p.Heal()
	eventually(t, 5*time.Second, func() string {
		e := keys(t, sure, "/a")[0]
		if string(e.Value) != "1" || e.Version != 2 || e.ModRev != before+1 {
			return fmt.Sprintf("%s version %d at %d", e.Value, e.Version, e.ModRev)
		}
		return ""
	})
	eventually(t, 5*time.Second, func() string {
		if _, err := kv.Range(t.Context(), store.Range{Key: "/a"}); err != nil {
			return err.Error()
		}
		return ""
	})
	if e := keys(t, sure, "/a")[0]; e.Version != 2 {
		t.Errorf("the write was sent again: version %d", e.Version)
	}
}

func TestOpenSucceedsWhileEtcdIsAwayAndCallsAnswerInTime(t *testing.T) {
	p := proxy.New(t, "tcp", "127.0.0.1:1") // accepts and closes
	for _, cfg := range []etcd.Config{
		{Endpoints: []string{p.Addr()}},
		{Endpoints: []string{p.Addr()}, Username: "u", Password: "p"},
	} {
		kv, err := etcd.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer kv.Close()
		began := time.Now()
		if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/a", nil)}}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("user %q: %v", cfg.Username, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("user %q: a write took %v", cfg.Username, took)
		}
	}
}

func TestConnectSaysWhatItTriedAndWhatToCheck(t *testing.T) {
	began := time.Now()
	_, err := etcd.Connect(t.Context(), etcd.Config{
		Endpoints: []string{"127.0.0.1:1", "unix:///nowhere/etcd.sock"}}, "/distsuper/schema")
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"127.0.0.1:1", "refused", "unix:///nowhere/etcd.sock", "distsuperd start"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in: %v", want, err)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	for name, cfg := range map[string]etcd.Config{
		"no endpoint":             {},
		"no port":                 {Endpoints: []string{"10.0.0.1"}},
		"a scheme of another":     {Endpoints: []string{"ftp://10.0.0.1:2379"}},
		"a relative socket":       {Endpoints: []string{"unix://etcd.sock"}},
		"TLS and not":             {Endpoints: []string{"https://a:1", "http://b:1"}},
		"user without password":   {Endpoints: []string{"a:1"}, Username: "u"},
		"certificate without key": {Endpoints: []string{"a:1"}, Cert: "-----BEGIN CERTIFICATE-----"},
		"CA file that is absent":  {Endpoints: []string{"a:1"}, CA: "/nowhere/ca.pem"},
		"CA without certificate":  {Endpoints: []string{"a:1"}, CA: "-----BEGIN NOTHING-----"},
	} {
		if kv, err := etcd.Open(t.Context(), cfg); err == nil {
			_ = kv.Close()
			t.Errorf("%s: opened", name)
		}
	}
}

func TestMembersTellVersionLeaderAndWhoDoesNotAnswer(t *testing.T) {
	c := startEtcd(t, 1)
	kv := open(t, c.Members[0].Client, "127.0.0.1:1")
	m := kv.Members(t.Context())
	if len(m) != 2 || m[0].Err != nil || !m[0].Leader || m[0].Version == "" || m[0].Rev < 1 || m[0].Term < 1 || m[0].DBSize == 0 {
		t.Errorf("the member: %+v", m)
	}
	if m[1].Err == nil || m[1].Endpoint != "127.0.0.1:1" {
		t.Errorf("the absent one: %+v", m[1])
	}
}

func TestFencingWarningNamesVersionsThatDropLeasesEarly(t *testing.T) {
	for v, bad := range map[string]bool{
		"3.4.23": true, "3.4.37": true, "3.4.38": false, "3.5.0": true, "3.5.22": true, "3.5.23": false,
		"3.6.0-rc.1": true, "3.6.4": true, "3.6.5": false, "3.7.3": false, "4.0.0": false, "3.3.27": true,
		"2.3.8": true, "unknown": true, "": false,
	} {
		if got := etcd.FencingWarning([]string{"3.7.3", v}); (got != "") != bad {
			t.Errorf("%s: %q", v, got)
		}
	}
}

// passwordUser makes etcd ask for passwords, and user u with password p, who may read and write below /d/.
func passwordUser(t *testing.T, c *etcdproc.Cluster) {
	t.Helper()
	cli, ctx := raw(t, c), t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(cli.RoleAdd(ctx, "root"))
	must(cli.UserAdd(ctx, "root", "r"))
	must(cli.UserGrantRole(ctx, "root", "root"))
	must(cli.RoleAdd(ctx, "ours"))
	must(cli.RoleGrantPermission(ctx, "ours", "/d/", "/d0", clientv3.PermissionType(clientv3.PermReadWrite)))
	must(cli.UserAdd(ctx, "u", "p"))
	must(cli.UserGrantRole(ctx, "u", "ours"))
	must(cli.AuthEnable(ctx))
}

func TestPasswordUserReadsWritesWatchesAndRenews(t *testing.T) {
	c := startEtcd(t, 1)
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	passwordUser(t, c)

	kv, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(), Username: "u", Password: "p"})
	must(nil, err)
	defer kv.Close()
	lease, err := kv.Grant(ctx, 5)
	must(nil, err)
	res, err := kv.Txn(ctx, store.Txn{Then: []store.Op{store.PutOn("/d/a", []byte("1"), lease.ID)}})
	must(nil, err)
	w := kv.Watch(ctx, store.Below("/d/"), res.Rev)
	if r := <-w.C(); len(r.Changes) != 1 {
		t.Errorf("watch: %+v, %v", r, w.Err())
	}
	s, err := kv.Renew(ctx, 0)
	must(nil, err)
	must(nil, s.Send(lease.ID))
	if r, err := s.Recv(); err != nil || r.TTL != 5 || r.ID != lease.ID {
		t.Errorf("renewal: %+v, %v", r, err)
	}
	s.Close()
	if m := kv.Members(ctx)[0]; m.Err != nil {
		t.Errorf("members: %v", m.Err)
	}
	if _, err := kv.Range(ctx, store.Range{Key: "/other"}); !errors.Is(err, store.ErrPermission) {
		t.Errorf("a key that the user may not read: %v", err)
	}
	if _, err := kv.Txn(ctx, store.Txn{Then: []store.Op{store.Put("/other", nil)}}); !errors.Is(err, store.ErrPermission) {
		t.Errorf("a key that the user may not write: %v", err)
	}

	// A restart of the member makes every login void.
	c.Members[0].Kill()
	c.Members[0].Start()
	eventually(t, 20*time.Second, func() string {
		_, err := kv.Txn(ctx, store.Txn{Then: []store.Op{store.PutOn("/d/a", []byte("2"), lease.ID)}})
		if err != nil {
			return err.Error()
		}
		return ""
	})
	eventually(t, 20*time.Second, func() string {
		s, err := kv.Renew(ctx, 0)
		if err != nil {
			return err.Error()
		}
		defer s.Close()
		if err := s.Send(lease.ID); err != nil {
			return err.Error()
		}
		r, err := s.Recv()
		if err != nil || r.TTL != 5 {
			return fmt.Sprint(r, err)
		}
		return ""
	})
	wrong, err := etcd.Open(ctx, etcd.Config{Endpoints: c.Endpoints(), Username: "u", Password: "x"})
	must(nil, err)
	defer wrong.Close()
	if _, err := wrong.Range(ctx, store.Range{Key: "/d/a"}); !errors.Is(err, store.ErrPermission) {
		t.Errorf("a wrong password: %v", err)
	}
}

// etcd takes a transaction that only compares for one that may read what a lagging member has.
func TestCompareAloneSeesEveryEarlierWrite(t *testing.T) {
	c := startEtcd(t, 3)
	kv := open(t, c.Endpoints()...)
	for i := range 100 {
		rev := put(t, kv, "/a", fmt.Sprint(i))
		for range 3 { // one by each member
			res, err := kv.Txn(t.Context(), store.Txn{If: []store.Cmp{store.Unchanged("/a", rev)}})
			if err != nil {
				t.Fatal(err)
			}
			if !res.Succeeded || res.Rev < rev || len(res.Got) != 0 {
				t.Fatalf("write %d at revision %d: %+v", i, rev, res)
			}
		}
	}
}

func TestRenewalToAHungMemberEndsWithItsContextAndTheNextOneAnswers(t *testing.T) {
	c := startEtcd(t, 3)
	kv := open(t, c.Endpoints()...)
	lease, err := kv.Grant(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	hung := (c.Leader() + 1) % 3
	renew := func(endpoint int) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		s, err := kv.Renew(ctx, endpoint)
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.Send(lease.ID); err != nil {
			return err
		}
		_, err = s.Recv()
		return err
	}
	if err := renew(hung); err != nil {
		t.Fatalf("before it hangs: %v", err)
	}
	c.Members[hung].Signal(syscall.SIGSTOP)
	defer c.Members[hung].Signal(syscall.SIGCONT)
	if err := renew(hung); !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a renewal to a stopped member: %v", err)
	}
	if err := renew((hung + 1) % 3); err != nil {
		t.Errorf("a renewal to the next member: %v", err)
	}
}
