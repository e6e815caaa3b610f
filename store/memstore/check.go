package memstore

import (
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/store"
)

// maxRequest is etcd's default --max-request-bytes.
const maxRequest = 3 << 19

// checkTxn refuses what etcd refuses for its form.
func checkTxn(t store.Txn) error {
	for _, n := range []int{len(t.If), len(t.Then), len(t.Else)} {
		if n > store.MaxTxnOps {
			return fmt.Errorf("%w: %d operations, at most %d are allowed", store.ErrInvalid, n, store.MaxTxnOps)
		}
	}
	size := 0
	for _, c := range t.If {
		size += len(c.Key) + len(c.Value)
		if c.Key == "" && c.Kind != store.CmpAbsentPrefix {
			return fmt.Errorf("%w: a comparison has no key", store.ErrInvalid)
		}
	}
	for _, branch := range [][]store.Op{t.Then, t.Else} {
		for _, op := range branch {
			size += len(op.Key) + len(op.Value)
		}
		if err := checkOps(branch); err != nil {
			return err
		}
	}
	if size > maxRequest {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", store.ErrInvalid, size, maxRequest)
	}
	return nil
}

// checkOps refuses a key that one branch puts twice, or puts and deletes.
func checkOps(ops []store.Op) error {
	puts := map[string]bool{}
	for _, op := range ops {
		if op.Key == "" && op.Kind != store.OpDeletePrefix {
			return fmt.Errorf("%w: an operation has no key", store.ErrInvalid)
		}
		if op.Kind != store.OpPut {
			continue
		}
		if puts[op.Key] {
			return fmt.Errorf("%w: %s is put twice in one transaction", store.ErrInvalid, op.Key)
		}
		puts[op.Key] = true
	}
	for _, op := range ops {
		for key := range puts {
			if op.Kind == store.OpDelete && op.Key == key ||
				op.Kind == store.OpDeletePrefix && strings.HasPrefix(key, op.Key) {
				return fmt.Errorf("%w: %s is put and deleted in one transaction", store.ErrInvalid, key)
			}
		}
	}
	return nil
}
