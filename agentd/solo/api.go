package solo

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/web"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/version"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcdapi"
	"github.com/distsuper/distsuper/store/trust"
)

func (c *components) apiSocket() string { return filepath.Join(c.runtime, "agent.sock") }

// listen opens a socket for distsuperctl. Who has access to it may pass through the runtime directory.
func (c *components) listen(path string) (*privatesock.Socket, error) {
	l, err := privatesock.Listen(path, c.access)
	if err == nil {
		c.sockets = append(c.sockets, l)
	}
	return l, err
}

// serveStore lets distsuperctl in: our user and root to everything, and whom else there is to what they may do.
func (c *components) serveStore() error {
	l, err := c.listen(config.SoloSocket(c.runtime))
	if err != nil {
		return err
	}
	own, others := privatesock.Split(l)
	kv := c.mem.Client("served")
	wants := func() ([]api.Program, error) {
		p, err := c.settings.programsNow()
		return p.Programs, err
	}
	c.served = []*etcdapi.Server{etcdapi.New(kv), etcdapi.New(granted{kv, c.keys, wants})}
	for i, l := range []net.Listener{own, others} {
		c.serving.Go(func() error { return c.served[i].Serve(l) })
	}
	return nil
}

// publish says where this daemon answers as a controller, which is where it does as an agent.
func (c *components) publish(id mtls.Identity) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the host name: %w", err)
	}
	self := api.Controller{ID: c.settings.Config.Controller.ID, Host: host, HTTP: "unix:" + c.apiSocket(), Fingerprint: id.Fingerprint, Version: version.String()}
	_, err = c.kv.Txn(c.serveCtx, store.Txn{Then: []store.Op{store.Put(c.keys.Controller(self.ID), store.Encode(self))}})
	return err
}

// serveAPI answers what is asked of agents (logs, signals, stdin) and of this daemon itself.
func (c *components) serveAPI(id mtls.Identity, self rpc.DaemonServer) error {
	l, err := c.listen(c.apiSocket())
	if err != nil {
		return err
	}
	log := c.log.Named("api")
	pins := trust.NewPins(c.kv, c.keys, id.Fingerprint, clock.Real{})
	secure := tls.NewListener(l, mtls.ServerConfig(id.Cert, mtls.Trust(pins, nil)))
	handler := web.Handler(web.Options{Keeper: c.keeper, Health: c.health, Daemon: self, Log: log})
	c.serving.Go(func() error { return rpc.Serve(c.serveCtx, secure, handler, log) })
	return nil
}

func (c *components) health(ctx context.Context) rpc.Health {
	h := rpc.Health{Machine: c.settings.Config.Agent.Machine, Version: version.String(), Store: "connected", Goroutines: runtime.NumGoroutine()}
	if c.agent != nil {
		a := c.agent.Health()
		h.Ready, h.Instance, h.Processes, h.Problem = a.Connected && a.Claimed, a.Instance, a.Runs, a.Problem
	}
	if hello, err := c.keeper.Hello(ctx); err == nil {
		h.KeeperPID, h.Containment = hello.PID, hello.Containment
	}
	return h
}

// daemonServer is what distsuperctl may ask of the daemon itself.
func (s *Solo) daemonServer() rpc.DaemonServer {
	log := s.settings.Logfile
	elsewhere := log + " cannot be read back"
	if log == spec.LogfileSyslog {
		log, elsewhere = "", "it goes to syslog"
	} else if info, err := os.Stat(log); err != nil || !info.Mode().IsRegular() {
		log = ""
	}
	about := rpc.Daemon{Program: Program, PID: os.Getpid(), Version: version.String(), Identifier: s.settings.Identifier, Log: log, Solo: true,
		File: s.settings.File}
	return rpc.DaemonServer{
		Daemon:   func() rpc.Daemon { return about },
		Log:      rpc.LogFile(daemon.Tail, log, elsewhere),
		Programs: s.settings.programsNow,
		Reload: func(by string) error {
			if s.stopping.Load() {
				return fmt.Errorf("%s is shutting down: %w", Program, rpc.ErrUnavailable)
			}
			if err := s.checkNext(); err != nil {
				return err
			}
			s.requests <- request{unix.SIGHUP, by}
			return nil
		},
		Stop: func(by string) error {
			s.requests <- request{unix.SIGTERM, by}
			return nil
		},
	}
}

// programsNow reads the file as it is at this moment. It returns only warnings that this daemon did not log at its start: whoever asks every
// hour need not get them every hour.
func (s *Settings) programsNow() (rpc.Programs, error) {
	next, err := s.reload()
	if err != nil {
		return rpc.Programs{}, err
	}
	known := s.allWarnings()
	news := slices.DeleteFunc(next.allWarnings(), func(w string) bool { return slices.Contains(known, w) })
	return rpc.Programs{Programs: next.Programs, Warnings: news}, nil
}
