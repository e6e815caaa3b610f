package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/distsuper/distsuper/agentd"
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine/contain"
	"github.com/distsuper/distsuper/agentd/web"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/beside"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/swept"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/recovery"
	"github.com/distsuper/distsuper/store/trust"
)

// server is a running agent.
type server struct {
	*daemoncmd.Running
	since time.Time

	endpoints []string
	kv        *daemoncmd.Store
	reports   *recovery.Reporter
	keys      store.Keys
	keeper    *keeper.Client
	id        mtls.Identity
	https     net.Listener
	// controllers are asked for promises.
	controllers *controllers

	starting sync.Mutex // one keeper at a time; guards started
	started  bool       // the keeper is one that this agent started

	warnings daemoncmd.Warnings

	mu    sync.Mutex    // guards what follows, and Config
	agent *agentd.Agent // nil until it can run
}

func newServer(p *daemoncmd.Running) daemoncmd.Server {
	return &server{Running: p, since: time.Now(),
		keys: store.NewKeys(p.Config.Etcd.Prefix), keeper: keeper.Dial(keeper.SocketPath(p.Config.Agent.StateDir))}
}

// identityFile is where the agent's certificate and key are.
func identityFile(cfg *config.Config) string {
	return filepath.Join(cfg.Agent.StateDir, "distsuperagent.pem")
}

// seenFile keeps how far etcd was seen.
func seenFile(cfg *config.Config) string {
	return filepath.Join(cfg.Agent.StateDir, "distsuperagent.seen")
}

// httpKey is the setting of the agent's port.
const httpKey = "[distsuperagent] http"

// serve works until ctx ends. When that asks for it, all processes are stopped and released then, until grace ends.
func (s *server) serve(ctx, grace context.Context) error {
	defer s.keeper.Close()
	if err := refuseBesideSolo(s.Config.File); err != nil {
		return err
	}
	s.warnOfSupervisor()
	err := s.open(ctx)
	if err == nil { // before etcd answers: what an earlier agent left with the keeper is held, and stopped, without it, too
		err = s.newAgent()
	}
	if err != nil {
		return errors.Join(err, s.close())
	}
	// The agent works on while it drains, so it does not end with ctx.
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	group, life := errgroup.WithContext(life)
	group.Go(func() error { return s.agent.Run(life) })
	group.Go(func() error { return s.serveHTTPS(life) })
	group.Go(func() error {
		daemoncmd.WatchMembers(life, s.kv, s.keys, s.Log.Named("etcd"), func(warning string) { s.warn(life, "etcd", warning) })
		return nil
	})
	group.Go(func() error {
		daemoncmd.WatchAddress(life, s.Log, s.addresses, func(string) {
			s.agent.SetInfo(life, s.info())
			if err := s.publish(); err != nil {
				s.Log.Warn("the new address is not noted beside the pid file", zap.Error(err))
			}
		})
		return nil
	})
	group.Go(func() error { return s.keepFiles(life) })
	group.Go(func() error { return s.announce(life) })
	group.Go(func() error { s.beginAgain(life); return nil })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			defer cancel(context.Cause(ctx))
			return s.drainIfAsked(context.Cause(ctx), grace)
		case <-life.Done():
			return nil
		}
	})
	err = group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err == nil && errors.Is(context.Cause(ctx), daemoncmd.ErrStopAll) {
		err = s.endKeeper(grace)
	}
	return errors.Join(err, s.close())
}

// refuseBesideSolo keeps a file's programs from running twice: by the distsuperd solo that runs it, and for a fleet.
func refuseBesideSolo(file string) error {
	endpoint, runs := config.SoloEndpoint(file)
	if !runs {
		return nil
	}
	return daemon.Usage(fmt.Errorf("distsuperd solo runs with %s, and its programs would run twice; stop it first (%s)", file, config.SoloShutdown(endpoint)))
}

// beginAgain restarts the agent in its place once somebody has accepted a store that went back.
func (s *server) beginAgain(ctx context.Context) {
	err := s.kv.AwaitAccepted(ctx, s.keys, s.Log.Named("store"), nil)
	if ctx.Err() == nil && err == nil {
		s.reports.Withdraw(ctx)
		s.End(daemoncmd.ErrRestart)
	}
}

// warnOfSupervisor says so when a supervisor runs programs of the same file here.
func (s *server) warnOfSupervisor() {
	other, found := beside.Of(s.Config.Ini, s.Config.File).Look()
	if !found {
		return
	}
	warning := fmt.Sprintf("%s; programs of %s would run twice on this machine: stop it (%s)", other.Found, s.Config.File, other.Stop)
	s.Log.Warn(warning)
	s.Notify.Progress("warning: " + warning)
	s.warnings.Set("supervisor", warning)
}

// warn tells people something, here and in the fleet.
func (s *server) warn(ctx context.Context, kind, text string) {
	s.warnings.Set(kind, text)
	s.agent.SetInfo(ctx, s.info())
}

// keepFiles keeps what tells the next agent who it is, beside what every daemon keeps. The keeper, which is in the same directory, keeps
// its own.
func (s *server) keepFiles(ctx context.Context) error {
	var files []swept.File
	for _, path := range []string{identityFile(s.Config), nameFile(s.Config)} {
		f, err := swept.Copy(path)
		if err == nil {
			files = append(files, f)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.KeepFiles(ctx, func(text string) { s.warn(ctx, "files", text) }, files...)
	return nil
}

// endKeeper ends the keeper, which has nothing to run any more.
func (s *server) endKeeper(grace context.Context) error {
	ended, err := endKeeper(grace, s.keeper)
	if ended != 0 {
		s.Log.Info("keeper stopped", zap.Int("pid", ended))
	}
	return err
}

// isDrain reports whether a cause to end asks for the end of all processes, too.
func isDrain(why error) bool {
	return errors.Is(why, daemoncmd.ErrUSR1) || errors.Is(why, daemoncmd.ErrStopAll)
}

// drainIfAsked stops and releases all processes before the agent ends, if that is why it ends.
func (s *server) drainIfAsked(why error, grace context.Context) error {
	if !isDrain(why) {
		s.Notify.Stopping("stopping; processes stay with the keeper")
		return nil
	}
	s.Notify.Stopping("stopping and releasing all processes")
	s.Log.Info("draining: stopping and releasing all processes")
	untold, err := s.agent.Drain(grace)
	switch {
	case err != nil:
		return err
	case len(untold) > 0: // this is no failure of the agent, which a service manager would start again
		s.Log.Warn("drained: every process is stopped, but etcd could not be told of these; the next agent on this machine will tell it",
			zap.Strings("processes", untold))
	default:
		s.Log.Info("drained: every process is stopped and released")
	}
	return nil
}

// close closes what open opened.
func (s *server) close() error {
	if s.https != nil {
		s.https.Close()
	}
	if s.controllers != nil {
		s.controllers.close()
	}
	if s.kv != nil {
		return s.kv.Close()
	}
	return nil
}

// open gets what the agent needs, but for an answer of etcd: its address, a keeper, an identity, a port.
func (s *server) open(ctx context.Context) error {
	var err error
	if s.endpoints, err = endpoints(ctx, s.Config, s.keeper); err != nil {
		return err
	}
	if err := s.ensureKeeper(ctx); err != nil {
		return err
	}
	kv, err := daemoncmd.OpenStore(s.Config, s.endpoints, seenFile(s.Config), s.Log.Named("store"))
	if err != nil {
		return err
	}
	s.kv, s.reports = kv, &recovery.Reporter{KV: kv.Raw, Keys: s.keys, Machine: s.Config.Agent.Machine, Clock: clock.Real{}}
	if s.id, err = mtls.LoadIdentity(identityFile(s.Config), "machine "+s.Config.Agent.Machine); err != nil {
		return err
	}
	s.https, err = rpc.Listen(s.Config.Agent.HTTP, s.Config.Agent.HTTPGiven, httpKey)
	return err
}

// awaitStore waits for etcd and makes sure that we understand what is there.
func (s *server) awaitStore(ctx context.Context) error {
	err := daemoncmd.AwaitStore(ctx, s.Config, s.endpoints, s.Notify, s.Log, func(ctx context.Context) error {
		return s.kv.CheckSchema(ctx, s.keys)
	})
	if errors.Is(err, store.ErrBehind) {
		return nil // the agent says so, and what runs here
	}
	return err
}

// behind tells the store what runs here, though it is not believed: whoever accepts it as it is decides what counts of that.
func (s *server) behind(ctx context.Context, why error, held []api.Held, leases []int64) {
	s.kv.Memory.Condemn(why)
	if err := s.reports.Report(ctx, api.Seen{Tokens: s.kv.Memory.Record().Tokens(), Leases: leases, Why: why.Error()}, held); err != nil && ctx.Err() == nil {
		s.Log.Debug("nobody can be told what runs here; trying again", zap.Error(err))
	}
}

func (s *server) newAgent() error {
	host, err := hostid.Read(s.Config.Agent.StateDir)
	if err != nil {
		return err
	}
	s.controllers = &controllers{kv: s.kv, keys: s.keys, cert: s.id.Cert, clients: map[reach]*rpc.Client{}}
	history := store.NewHistory(s.kv, s.keys, "agent "+s.Config.Agent.Machine, clock.Real{})
	agent, err := agentd.New(agentd.Options{
		Machine: s.Config.Agent.Machine, KV: s.kv, Keys: s.keys, Keeper: s.keeper, Revive: s.ensureKeeper, SearchHost: contain.Search,
		Host: host, Info: s.info(), History: history.Op, HistoryLost: history.Forget, Behind: s.behind,
		AwaitStore: s.awaitStore, Controllers: s.controllers.read, Ask: s.controllers.ask, Clock: clock.Real{}, Log: s.Log.Named("agent"),
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agent = agent
	return err
}

// endpoints are those configured, else that of distsuperd's own etcd on this host. A machine whose keeper runs processes gets its agent back
// even when that etcd is down: the agent waits for it.
func endpoints(ctx context.Context, cfg *config.Config, k *keeper.Client) ([]string, error) {
	endpoints, err := daemoncmd.Endpoints(cfg)
	alone := err == nil && len(endpoints) == 1 && strings.HasPrefix(endpoints[0], "unix://")
	if !cfg.UsesEmbedded() || err != nil || !alone {
		return endpoints, err
	}
	dir := cfg.Controller.StateDir
	if _, err := k.Hello(ctx); err != nil && !embedded.Running(dir) {
		return nil, fmt.Errorf("no etcd endpoint is configured and distsuperd's own etcd does not run in %s; run `distsuperd start` first, or set [etcd] endpoints", dir)
	}
	return endpoints, nil
}

func (s *server) serveHTTPS(ctx context.Context) error {
	pins := trust.NewPins(s.kv, s.keys, s.id.Fingerprint, clock.Real{})
	pins.Changed = func() { s.agent.ControllersChanged(ctx) }
	var background sync.WaitGroup
	defer background.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	background.Go(func() { pins.Follow(ctx, s.Log.Named("https")) })
	conf := mtls.ServerConfig(s.id.Cert, mtls.Trust(pins, nil))
	handler := web.Handler(web.Options{Keeper: s.keeper, Health: s.health, Daemon: s.Daemon(s.Config.Agent.Machine, s.Reread, s.stopAll),
		Log: s.Log.Named("https")})
	log := s.Log.Named("https")
	return rpc.Serve(ctx, tls.NewListener(daemoncmd.Limited(s.https, log), conf), handler, log)
}

// progressAfter is how long a start may wait for something before it says for what.
const progressAfter = time.Second

// announce tells whoever waits that the agent works, and until then what it waits for.
func (s *server) announce(ctx context.Context) error {
	if err := s.publish(); err != nil {
		return err
	}
	last, since := "", time.Now()
	ready := daemoncmd.Until(ctx, func() bool {
		h := s.agent.Health()
		problem := h.Problem
		if problem == "" && h.Etcd == contact.StateSilent {
			problem = "etcd does not answer"
		}
		switch {
		case problem != last:
			last, since = problem, time.Now()
		case last != "" && time.Since(since) > progressAfter:
			s.Notify.Progress(last)
			since = since.Add(time.Hour) // once
		}
		return h.Connected && h.Claimed
	})
	if !ready {
		return nil
	}
	h := s.health(ctx)
	s.Log.Info("ready", zap.String("machine", h.Machine), zap.String("https", rpc.Reach(s.https, nil)), zap.Strings("etcd", s.endpoints),
		zap.Int("keeper", h.KeeperPID), zap.String("containment", h.Containment), zap.String("version", h.Version))
	s.Notify.Ready(fmt.Sprintf("machine %s, keeper pid %d, processes: %d, etcd at %s", h.Machine, h.KeeperPID, h.Processes, daemoncmd.Join(s.endpoints)))
	return nil
}

// summary says what becomes of the processes, for the log.
func (s *server) summary(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	snapshot, err := s.keeper.Changes(ctx, 0)
	if err != nil {
		return []string{fmt.Sprintf("the keeper does not say what becomes of the processes: %v", err)}
	}
	return now(snapshot, false).Lines()
}
