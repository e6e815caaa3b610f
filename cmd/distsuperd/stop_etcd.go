package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
)

// stopEtcdIfUnused stops distsuperd's own etcd after distsuperd, unless it is needed, and returns a summary; "" when
// there is none. It asks the etcd itself which machines need it; one that does not answer keeps running.
func stopEtcdIfUnused(ctx context.Context, cfg *config.Config, all bool) (string, error) {
	dir := cfg.Controller.StateDir
	if !cfg.UsesEmbedded() || !embedded.Running(dir) {
		return "", nil
	}
	var live []string
	var unknown error
	if !all {
		live, unknown = machinesNeedingEtcd(ctx, cfg)
	}
	stop, summary := mayStopEtcd(all, live, unknown)
	if !stop {
		return summary, nil
	}
	if err := embedded.Stop(ctx, dir); err != nil {
		return "", fmt.Errorf("%w; its log is in %s/etcd", err, dir)
	}
	return summary, nil
}

// mayStopEtcd decides whether the etcd is stopped, and summarizes why.
func mayStopEtcd(all bool, live []string, unknown error) (stop bool, summary string) {
	switch {
	case all:
		return true, "its etcd stopped, too"
	case unknown != nil:
		return false, fmt.Sprintf("its etcd goes on, since it cannot be asked which machines are live (%v); `distsuperd stop --all` stops it", unknown)
	case len(live) > 0:
		return false, fmt.Sprintf("its etcd goes on, since machines are live or release processes (%s); `distsuperd stop --all` stops it, too", strings.Join(live, ", "))
	}
	return true, "its etcd stopped, too: no machine is live"
}

// machinesNeedingEtcd asks the embedded etcd which machines need it.
func machinesNeedingEtcd(ctx context.Context, cfg *config.Config) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	endpoint, err := embedded.Endpoint(cfg.Controller.StateDir)
	if err != nil {
		return nil, err
	}
	kv, err := etcd.Open(ctx, etcd.Config{Endpoints: []string{endpoint}})
	if err != nil {
		return nil, err
	}
	defer kv.Close()
	keys := store.NewKeys(cfg.Etcd.Prefix)
	entries, err := kv.Range(ctx, store.Range{Key: keys.Machines(), Prefix: true, KeysOnly: true})
	if err != nil {
		return nil, err
	}
	return liveMachines(keys, entries.Entries), nil
}

// liveMachines are those of which the entries say that they are alive or touch a process: an agent that drains has
// taken its alive key away already, and could release nothing without etcd.
func liveMachines(keys store.Keys, entries []store.Entry) []string {
	var live []string
	for _, e := range entries {
		name, err := keys.Parse(e.Key)
		if err == nil && (name.Kind == store.KindAlive || name.Kind == store.KindTouch) {
			live = append(live, name.Machine)
		}
	}
	slices.Sort(live)
	return slices.Compact(live)
}
