package daemoncmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/recovery"
	"github.com/distsuper/distsuper/store/seen"
)

// Endpoints are those configured, else those of distsuperd's own etcd.
func Endpoints(cfg *config.Config) ([]string, error) {
	if !cfg.UsesEmbedded() {
		return cfg.Etcd.Endpoints, nil
	}
	reach, err := embedded.ReachOf(cfg.Controller.StateDir, cfg.Embedded.Peers)
	return reach.Endpoints, err
}

// storeConfig is how the endpoints are reached.
func storeConfig(cfg *config.Config, endpoints []string, log *zap.Logger) etcd.Config {
	sc := etcd.Config{Endpoints: endpoints, Username: cfg.Etcd.Username, Password: cfg.Etcd.Password,
		CA: cfg.Etcd.CA, Cert: cfg.Etcd.Cert, Key: cfg.Etcd.Key, Logger: log}
	if reach, err := embedded.ReachOf(cfg.Controller.StateDir, nil); cfg.UsesEmbedded() && err == nil {
		sc.CA, sc.Cert, sc.Key = reach.CA, reach.Cert, reach.Key
	}
	sc.Follow = cfg.UsesEmbedded() || embedded.Ours(sc.CA)
	if cfg.UsesEmbedded() {
		sc.Known = func() []string {
			reach, _ := embedded.ReachOf(cfg.Controller.StateDir, cfg.Embedded.Peers) // without one nothing changes
			return reach.Endpoints
		}
	}
	return sc
}

// OpenStore opens the store, guarded by a file that keeps how far it was seen. It does not wait for etcd.
func OpenStore(cfg *config.Config, endpoints []string, file string, log *zap.Logger) (*Store, error) {
	sc := storeConfig(cfg, endpoints, log)
	if sc.Follow && !cfg.UsesEmbedded() { // a host with a member knows by that who the others are
		dir := filepath.Dir(file)
		sc.Endpoints = embedded.Learned(dir, endpoints)
		sc.Learned = func(endpoints []string) {
			if err := embedded.Learn(dir, endpoints); err != nil {
				log.Warn("the endpoints of etcd's members cannot be saved", zap.Error(err))
			}
		}
	}
	kv, err := etcd.Open(context.Background(), sc)
	if err != nil {
		return nil, daemon.Usage(err)
	}
	m, err := seen.Open(file, clock.Real{}, log)
	if err != nil {
		return nil, errors.Join(err, kv.Close())
	}
	return &Store{KV: seen.Guard(kv, m), Raw: kv, Memory: m, config: sc}, nil
}

// Store is the store that a daemon believes until it goes back. At its end it keeps on disk how far the store was.
type Store struct {
	store.KV
	Raw    store.KV // the store as it is, believed or not
	Memory *seen.Memory
	config etcd.Config
}

// Close closes the store.
func (s *Store) Close() error { return errors.Join(s.KV.Close(), s.Memory.Close()) }

// CheckSchema is store.CheckSchema, and remembers what the schema says of this store's life.
func (s *Store) CheckSchema(ctx context.Context, keys store.Keys) error {
	if err := s.Memory.Err(); err != nil {
		return err
	}
	_, err := s.look(ctx, s.KV, keys)
	return err
}

func (s *Store) look(ctx context.Context, kv store.KV, keys store.Keys) (accepted bool, err error) {
	schema, at, err := store.ReadSchema(ctx, kv, keys)
	if err != nil {
		return false, err
	}
	return s.Memory.Look(at, schema)
}

// acceptedEvery is how often a daemon that does not believe its store looks whether somebody has accepted it.
const acceptedEvery = time.Second

// AwaitAccepted returns nil when the store was found behind and somebody has accepted it as it is since then. Whoever waits is to begin
// a new life, with nothing of what it knew. Else it returns ctx's error. Until then it calls meanwhile now and then, with how the
// store was found behind.
func (s *Store) AwaitAccepted(ctx context.Context, keys store.Keys, log *zap.Logger, meanwhile func(context.Context, error)) error {
	select {
	case <-s.Memory.Found():
	case <-ctx.Done():
		return ctx.Err()
	}
	for i := 0; ; i++ {
		if meanwhile != nil && i%int(recovery.ReportEvery/acceptedEvery) == 0 {
			meanwhile(ctx, s.Memory.Err())
		}
		attempt, cancel := context.WithTimeout(ctx, acceptedEvery)
		accepted, err := s.look(attempt, s.Raw, keys)
		cancel()
		switch {
		case accepted && err == nil:
			return nil
		case accepted:
			log.Error("this etcd was accepted, but that cannot be saved; trying again", zap.Error(err))
		case err != nil:
			log.Debug("nobody has accepted this etcd yet", zap.Error(err))
		}
		if !clock.Sleep(ctx, acceptedEvery) {
			return ctx.Err()
		}
	}
}

// AwaitStore calls check until etcd answers it, and returns its verdict. While etcd does not answer it says so, with
// what it met at each endpoint, and goes on: a daemon started before etcd waits for it.
func AwaitStore(ctx context.Context, cfg *config.Config, endpoints []string, notify *daemon.Notifier, log *zap.Logger, check func(context.Context) error) error {
	reported := time.Time{}
	for {
		attempt, cancel := context.WithTimeout(ctx, time.Second)
		err := check(attempt)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if time.Since(reported) > 10*time.Second {
			why := etcd.Unreachable(ctx, storeConfig(cfg, endpoints, nil), err)
			notify.Progress(why.Error())
			log.Warn("waiting for etcd", zap.Error(why))
			reported = time.Now()
		}
		if !clock.Sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// membersInterval is how often the servers are asked for their versions and alarms, and who they are: they are upgraded and
// replaced one by one, and fill up slowly.
const membersInterval = 20 * time.Second

// WatchMembers reports what operators should know about etcd's servers, whenever that changes, until ctx ends, and reads what
// the schema says by then.
func WatchMembers(ctx context.Context, s *Store, keys store.Keys, log *zap.Logger, report func(warning string)) {
	last := ""
	for {
		if err := s.CheckSchema(ctx, keys); err != nil {
			log.Debug("the schema cannot be read yet", zap.Error(err))
		}
		warning, ok := Warning(s.Members(ctx))
		if ending := s.config.Ending(time.Now()); ending != "" {
			warning = strings.TrimPrefix(warning+"; "+ending, "; ")
		}
		if ok && warning != last {
			last = warning
			report(warning)
			if warning != "" {
				log.Warn(warning)
			} else {
				log.Info("etcd's servers are in order again")
			}
		}
		if !clock.Sleep(ctx, membersInterval) {
			return
		}
	}
}

// Warning says what is wrong with etcd's servers. ok is false when none of them answered.
func Warning(members []store.Member) (warning string, ok bool) {
	var versions, parts []string
	for _, m := range members {
		if m.Err != nil {
			continue
		}
		ok = true
		versions = append(versions, m.Version)
		if slices.Contains(m.Alarms, store.AlarmNoSpace) && !slices.Contains(parts, store.Full) {
			parts = append(parts, store.Full)
		}
		if slices.Contains(m.Alarms, "CORRUPT") {
			parts = append(parts, fmt.Sprintf("etcd at %s says that its data is corrupt", m.Endpoint))
		}
	}
	if w := etcd.FencingWarning(versions); w != "" {
		parts = append(parts, w)
	}
	return strings.Join(parts, "; "), ok
}

// Until waits for a condition and returns false when ctx ended first.
func Until(ctx context.Context, is func() bool) bool {
	for !is() {
		if !clock.Sleep(ctx, 20*time.Millisecond) {
			return false
		}
	}
	return true
}

// Join lists endpoints in a sentence.
func Join(endpoints []string) string { return strings.Join(endpoints, ", ") }
