package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/controller"
	"github.com/distsuper/distsuper/controller/member"
	"github.com/distsuper/distsuper/controller/web"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/contact"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/swept"
	"github.com/distsuper/distsuper/pkg/version"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/recovery"
	"github.com/distsuper/distsuper/store/trust"
)

// server is a running distsuperd.
type server struct {
	*daemoncmd.Running

	endpoints []string
	kv        *daemoncmd.Store
	keys      store.Keys
	id        mtls.Identity
	http      net.Listener
	member    *member.Member
	control   *controller.Controller
	probe     probe
	warnings  daemoncmd.Warnings
	opened    chan struct{} // closed when member and control are there
	members   chan struct{} // one waits when the members of its own etcd have changed
}

// httpKey is the setting of distsuperd's port.
const httpKey = "[distsuperd] http"

// seenFile keeps how far etcd was seen.
func seenFile(cfg *config.Config) string {
	return filepath.Join(cfg.Controller.StateDir, "distsuperd.seen")
}

// promisesFile keeps what the next life must know of promises.
func promisesFile(cfg *config.Config) string {
	return filepath.Join(cfg.Controller.StateDir, "distsuperd.promises")
}

// identityFile is where distsuperd's certificate and key are.
func identityFile(cfg *config.Config) string {
	return filepath.Join(cfg.Controller.StateDir, "distsuperd.pem")
}

// serve works until ctx ends.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	if err := s.open(ctx, group); err != nil {
		cancel() // what open started, such as the loop that keeps etcd alive, would not end otherwise
		if endErr := s.close(group); !errors.Is(endErr, context.Canceled) {
			err = errors.Join(err, endErr)
		}
		return err
	}
	close(s.opened)
	group.Go(func() error { return s.unlessBehind(ctx, s.control.Run(ctx)) })
	group.Go(func() error { return s.beginAgain(ctx) })
	group.Go(func() error {
		daemoncmd.WatchAddress(ctx, s.Log, func() string { return rpc.Reach(s.http, nil) }, func(string) { s.member.Say(s.self()) })
		return nil
	})
	group.Go(func() error {
		daemoncmd.WatchMembers(ctx, s.kv, s.keys, s.Log.Named("etcd"), func(warning string) { s.warnings.Set("etcd", warning) })
		return nil
	})
	group.Go(func() error { s.followMembers(ctx); return nil })
	group.Go(func() error { return s.keepFiles(ctx) })
	group.Go(func() error { return s.announce(ctx) })
	return s.close(group)
}

// self is what the fleet is told of this controller.
func (s *server) self() api.Controller {
	return api.Controller{ID: s.Config.Controller.ID, Host: host(), HTTP: rpc.Reach(s.http, nil), HereOnly: rpc.HereOnly(s.http),
		Fingerprint: s.id.Fingerprint, Version: version.String(), MaxHold: int64(s.Config.Controller.MaxHold / time.Second)}
}

// errDataRemoved says what cannot be made anew.
var errDataRemoved = errors.New("what etcd holds is lost when it ends: save it now with distsuperctl backup FILE; when etcd has ended, distsuperctl restore FILE puts it back")

// keepFiles keeps the identity that is published, and says when the data of its own etcd was removed.
func (s *server) keepFiles(ctx context.Context) error {
	identity, err := swept.Copy(identityFile(s.Config))
	if err != nil {
		return err
	}
	files := []swept.File{identity}
	if s.Config.UsesEmbedded() {
		dir, err := embedded.DirOf(s.Config.Controller.StateDir)
		if err != nil {
			return err
		}
		there := false // a host that is to join others has no data yet
		files = append(files, swept.File{Path: dir.Data(), Intact: func() bool {
			_, err := os.Stat(dir.Data())
			there = there || err == nil
			return err == nil || !there
		}, Renew: func() error { return errDataRemoved }})
	}
	s.KeepFiles(ctx, func(text string) { s.warnings.Set("files", text) }, files...)
	return nil
}

// unlessBehind returns an error, but for that of a store which went back: that ends nothing, since beginAgain waits for its acceptance.
func (s *server) unlessBehind(ctx context.Context, err error) error {
	if !errors.Is(err, store.ErrBehind) {
		return err
	}
	s.kv.Memory.Condemn(err)
	<-ctx.Done()
	return nil
}

// beginAgain restarts distsuperd in its place once somebody has accepted a store that went back.
func (s *server) beginAgain(ctx context.Context) error {
	if err := s.awaitAccepted(ctx); err != nil {
		return unlessEnded(ctx, err)
	}
	s.End(daemoncmd.ErrRestart)
	return nil
}

// awaitAccepted waits for the acceptance of a store that went back, and reports meanwhile what this controller has seen.
func (s *server) awaitAccepted(ctx context.Context) error {
	log := s.Log.Named("store")
	r := &recovery.Reporter{KV: s.kv.Raw, Keys: s.keys, Clock: clock.Real{}, Controller: s.Config.Controller.ID}
	err := s.kv.AwaitAccepted(ctx, s.keys, log, func(ctx context.Context, why error) {
		if err := r.Report(ctx, api.Seen{Tokens: s.kv.Memory.Record().Tokens(), Why: why.Error()}, nil); err != nil {
			log.Debug("nobody can be told that etcd is not trusted here; trying again", zap.Error(err))
		}
	})
	if err == nil {
		r.Withdraw(ctx)
	}
	return err
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// close waits for everything and closes the store.
func (s *server) close(group *errgroup.Group) error {
	err := group.Wait()
	if s.http != nil {
		s.http.Close()
	}
	if s.kv != nil {
		if closeErr := s.kv.Close(); err == nil {
			err = closeErr
		}
	}
	return err
}

// open gets what everything else needs: etcd, an identity, a port, the key space. Machines are answered before etcd is reached: it may be
// away, and they ask for promises because of that.
func (s *server) open(ctx context.Context, group *errgroup.Group) (err error) {
	if err := s.findEtcd(ctx, group); err != nil {
		return err
	}
	if s.kv, err = daemoncmd.OpenStore(s.Config, s.endpoints, seenFile(s.Config), s.Log.Named("store")); err != nil {
		return err
	}
	s.keys = store.NewKeys(s.Config.Etcd.Prefix)
	if s.id, err = mtls.LoadIdentity(identityFile(s.Config), "controller "+s.Config.Controller.ID); err != nil {
		return err
	}
	if s.http, err = rpc.Listen(s.Config.Controller.HTTP, s.Config.Controller.HTTPGiven, httpKey); err != nil {
		return err
	}
	s.probe.ask = func(ctx context.Context) error {
		_, err := s.kv.Raw.Range(ctx, store.Range{Key: s.keys.Schema()})
		return err
	}
	host, err := hostid.Read(s.Config.Controller.StateDir)
	if err != nil {
		return err
	}
	s.member = member.New(member.Options{KV: s.kv, Keys: s.keys, Self: s.self(), Host: host, File: promisesFile(s.Config),
		Refuses: s.refuses, Clock: clock.Real{}, Log: s.Log.Named("member")})
	s.control = controller.New(controller.Options{
		KV: s.kv, Keys: s.keys, ID: s.Config.Controller.ID, Member: s.member,
		ElectionTTL: s.Config.Controller.ElectionTTL, Settle: settle(s.Config.Controller.Settle), StartPace: s.Config.Controller.StartPace,
		Expand: spec.Processes, Fingerprint: spec.Fingerprint,
		Asker:   rpc.Agents{Cert: s.id.Cert},
		History: store.NewHistory(s.kv, s.keys, "leader "+s.Config.Controller.ID, clock.Real{}),
		Clock:   clock.Real{}, Log: s.Log.Named("controller"),
	})
	group.Go(func() error { return s.serveHTTP(ctx) })
	return s.checkSchema(ctx)
}

// refuses says why nothing is promised: by a store that went back nobody knows who is registered.
func (s *server) refuses() string {
	if err := s.kv.Memory.Err(); err != nil {
		return "it does not trust etcd: " + err.Error()
	}
	return ""
}

// settle turns the setting's "0: do not wait" into the controller's.
func settle(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// checkSchema waits for etcd and makes sure that we understand what is there. In our own etcd it makes the
// key space; in another's, somebody decides where it is to be.
func (s *server) checkSchema(ctx context.Context) error {
	err := daemoncmd.AwaitStore(ctx, s.Config, s.endpoints, s.Notify, s.Log, func(ctx context.Context) error {
		err := s.kv.CheckSchema(ctx, s.keys)
		if errors.Is(err, store.ErrNoSchema) && s.Config.UsesEmbedded() {
			_, err = store.Init(ctx, s.kv, s.keys, "distsuperd "+s.Config.Controller.ID)
		}
		return err
	})
	if !errors.Is(err, store.ErrBehind) {
		return err
	}
	s.Notify.Progress(err.Error())
	if err := s.awaitAccepted(ctx); err != nil {
		return err
	}
	return daemoncmd.ErrRestart
}

func (s *server) serveHTTP(ctx context.Context) error {
	pins := callers{trust.NewPins(s.kv, s.keys, s.id.Fingerprint, clock.Real{}), s.member}
	handler := web.Handler(web.Options{
		Health: s.health,
		Machine: func(ctx context.Context, name string) (api.MachineInfo, error) {
			m, err := trust.Machine(ctx, s.kv, s.keys, name)
			if errors.Is(err, trust.ErrNoMachine) {
				err = fmt.Errorf("machine %s: %w", name, rpc.ErrNotFound)
			}
			return m, err
		},
		Promises: s.member,
		Daemon:   s.Daemon(s.Config.Controller.ID, s.reload, s.stop),
		Cert:     s.id.Cert, Log: s.Log.Named("http"), OpenHealth: s.Config.Controller.HTTPGiven,
	})
	return web.Serve(ctx, daemoncmd.Limited(s.http, s.Log.Named("http")), mtls.ServerConfig(s.id.Cert, mtls.Trust(pins, nil)), handler, s.Log.Named("http"))
}

// callers are whom the store's pins know, and the machines, which the handler lets ask for promises only.
type callers struct {
	*trust.Pins
	machines *member.Member
}

// Known implements mtls.Pins.
func (c callers) Known(ctx context.Context, fingerprint string) (bool, error) {
	if c.machines.IsMachine(fingerprint) {
		return true, nil
	}
	return c.Pins.Known(ctx, fingerprint)
}

// reload restarts it in its place. Settings that it would refuse must not end it.
func (s *server) reload() error {
	err := s.Check()
	if err == nil {
		s.End(daemoncmd.ErrRestart)
	}
	return err
}

// stop ends it, and leaves its etcd to whoever asked: that one has agents to stop that need it.
func (s *server) stop() error {
	s.End(daemoncmd.ErrUSR1)
	return nil
}

func (s *server) health(ctx context.Context) web.Health {
	status := s.control.Status()
	h := web.Health{ID: s.Config.Controller.ID, Version: version.String(), Healthy: status.Connected, Leader: status.Leading,
		Store: "connected", Embedded: s.Config.UsesEmbedded(), Goroutines: runtime.NumGoroutine()}
	switch {
	case status.Since == 0:
		h.Store = "not connected yet"
	case !status.Connected:
		h.Store = fmt.Sprintf("not connected, noticed %s ago: %s", contact.Span(clock.Real{}.Now().Sub(status.Since)), status.Why)
	case !s.probe.answers(ctx):
		h.Healthy, h.Store = false, noAnswer()
	}
	if err := s.kv.Memory.Err(); err != nil {
		h.Healthy, h.Leader, h.Store = false, false, "not trusted: "+err.Error()
	}
	h.Warning = s.warnings.String()
	return h
}

// announce tells whoever waits that distsuperd works.
func (s *server) announce(ctx context.Context) error {
	addr := rpc.ReachHere(s.http)
	err := s.Lock.Publish(daemon.Info{Name: string(self.Name), Version: version.String(), Since: time.Now(), HTTP: addr,
		Log: s.Config.Controller.Log.File, Config: s.Config.File, State: s.Config.Controller.StateDir})
	if err != nil {
		return err
	}
	if !daemoncmd.Until(ctx, func() bool { return s.control.Status().Connected }) {
		return nil
	}
	where := "etcd at " + daemoncmd.Join(s.endpoints)
	if s.Config.UsesEmbedded() {
		where = "its own " + where
	}
	s.Log.Info("ready", zap.String("id", s.Config.Controller.ID), zap.String("http", addr), zap.Strings("etcd", s.endpoints), zap.String("version", version.String()))
	s.Notify.Ready(fmt.Sprintf("controller %s, HTTP at %s, %s", s.Config.Controller.ID, addr, where))
	return nil
}

func host() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
