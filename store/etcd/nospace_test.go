package etcd_test

import (
	"errors"
	"testing"
	"time"

	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/test/etcdproc"
	"github.com/distsuper/distsuper/test/gate"
)

// Holds: what the rest counts on while etcd is full: leases are renewed and expire, so that fencing goes on; a transaction
// that only deletes happens, with its compares; nothing else does; and Defrag leads out.
func TestAFullEtcdRenewsAndDeletesUntilItIsDefragmented(t *testing.T) {
	t.Parallel()
	gate.Etcd(t)
	c := etcdproc.Start(t, 1, "--quota-backend-bytes", "4000000")
	kv := open(t, c.Endpoints()...)
	lease, err := kv.Grant(t.Context(), 60)
	if err != nil {
		t.Fatal(err)
	}
	rev := put(t, kv, "/held", "x")
	if _, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.PutOn("/leased", nil, lease.ID)}}); err != nil {
		t.Fatal(err)
	}
	fill(t, kv)

	writes := map[string]store.Txn{
		"a put":            {Then: []store.Op{store.Put("/a", nil)}},
		"a put beside":     {Then: []store.Op{store.Delete("/a"), store.Put("/b", nil)}},
		"a put in another": {If: []store.Cmp{store.Exists("/none")}, Then: []store.Op{store.Put("/a", nil)}},
	}
	for what, txn := range writes {
		if _, err := kv.Txn(t.Context(), txn); !errors.Is(err, store.ErrNoSpace) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := kv.Grant(t.Context(), 60); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("a grant: %v", err)
	}
	res, err := kv.Txn(t.Context(), store.Txn{If: []store.Cmp{store.Unchanged("/held", rev)},
		Then: []store.Op{store.Delete("/held")}, Else: []store.Op{store.Get("/held")}})
	if err != nil || !res.Succeeded {
		t.Errorf("a delete: %+v, %v", res, err)
	}
	stream, err := kv.Renew(t.Context(), 0)
	if err == nil {
		defer stream.Close()
		if err = stream.Send(lease.ID); err == nil {
			var r store.Renewal
			if r, err = stream.Recv(); err == nil && r.TTL != 60 {
				t.Errorf("a renewal: %+v", r)
			}
		}
	}
	if err != nil {
		t.Errorf("a renewal: %v", err)
	}
	if err := kv.Revoke(t.Context(), lease.ID); err != nil {
		t.Errorf("a revocation: %v", err)
	}
	if m := kv.Members(t.Context()); len(m) != 1 || len(m[0].Alarms) != 1 || m[0].Alarms[0] != "NOSPACE" {
		t.Errorf("members: %+v", m)
	}

	var told []etcd.Defragmented
	if err := etcd.Defrag(t.Context(), etcd.Config{Endpoints: c.Endpoints()}, func(d etcd.Defragmented) { told = append(told, d) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Endpoint != c.Endpoints()[0] || told[0].After >= told[0].Before {
		t.Errorf("it told %+v", told)
	}
	put(t, kv, "/a", "x")
	if _, err := kv.Grant(t.Context(), 60); err != nil {
		t.Error(err)
	}
}

// fill writes one key over and over until etcd refuses.
func fill(t *testing.T, kv store.KV) {
	t.Helper()
	big := make([]byte, 500<<10)
	eventually(t, 30*time.Second, func() string {
		_, err := kv.Txn(t.Context(), store.Txn{Then: []store.Op{store.Put("/big", big)}})
		if errors.Is(err, store.ErrNoSpace) {
			return ""
		}
		return "etcd still takes writes"
	})
}
