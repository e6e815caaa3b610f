package solo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/distsuper/distsuper/agentd"
	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/agentd/keeper/engine"
	"github.com/distsuper/distsuper/agentd/keeper/keeperd"
	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/agentd/web"
	"github.com/distsuper/distsuper/controller"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/version"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcdapi"
	"github.com/distsuper/distsuper/store/memstore"
	"github.com/distsuper/distsuper/store/trust"
)

const (
	// keptRevisions is how far back the store remembers: enough for a ctl that is slow.
	keptRevisions = 2000
	// electionTTL and touchTimeout are in seconds. Nothing ends by them: they only say how often a lease is renewed.
	electionTTL  = 60
	touchTimeout = 60
)

// parts are controller, agent and keeper in one process, on a store in its memory.
type parts struct {
	s       *settings
	runtime string
	log     *zap.Logger

	collector *logs.Collector
	engine    *engine.Engine
	keeper    keeper.Keeper
	mem       *memstore.Server
	kv        *memstore.Client
	keys      store.Keys
	served    *etcdapi.Server
	control   *controller.Controller
	agent     *agentd.Agent

	// plans is the life of what starts processes, life that of what tells of them.
	plans, life     context.Context
	noPlans, finish context.CancelFunc
	planning        *errgroup.Group
	living          *errgroup.Group
}

// autoLogs says where AUTO logs are: files of this daemon alone, which the next one of this identifier removes.
func autoLogs(s *settings) logs.Auto {
	return logs.Auto{Dir: s.Childlogdir, Identifier: s.Identifier, Seed: randomName()}
}

// newParts makes the keeper, and kills what an earlier daemon of this file left.
func newParts(s *settings, runtime string, journal *journal, watch func(engine.Change)) (*parts, error) {
	log := journal.logger()
	p := &parts{s: s, runtime: runtime, log: log, keys: store.NewKeys(s.config.Etcd.Prefix)}
	auto := autoLogs(s)
	output := logs.Options{Auto: auto, SyslogTag: syslogTag}
	if s.Loglevel <= ini.LevelDebug {
		output.Copy = journal.output
	}
	first, err := firstProcesses(s.programs)
	if err != nil {
		return nil, err
	}
	if p.collector, err = logs.NewWith(output, log.Named("logs")); err != nil {
		return nil, err
	}
	p.engine, err = engine.New(engine.Options{Dir: runtime, Logs: p.collector, Logger: log.Named("keeper"), Version: version.String(),
		GuardianCommand: []string{GuardianCommand}, Environ: environ(), Linger: time.Millisecond,
		AutoLogs: auto, Watch: watch, Alone: true, NoSignals: true, First: first,
		StreamPrefix: s.StdoutLogPrefix})
	if err != nil {
		return nil, err
	}
	p.keeper = keeperd.Of(p.engine, p.collector)
	return p, nil
}

// firstProcesses are those that autostart starts, in the order in which supervisord spawns them.
func firstProcesses(programs []api.Program) ([]string, error) {
	var all []api.Process
	for _, p := range programs {
		if !p.Autostart {
			continue
		}
		processes, err := spec.Processes(p)
		if err != nil {
			return nil, err
		}
		all = append(all, processes...)
	}
	slices.SortFunc(all, api.Process.Compare)
	ids := make([]string, len(all))
	for i, p := range all {
		ids[i] = p.ID()
	}
	return ids, nil
}

// environ is what processes inherit of our environment.
func environ() []string {
	var kept []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "DISTSUPER_ETCD_") {
			kept = append(kept, v)
		}
	}
	return kept
}

// start makes the store, and controller and agent on it. They run when the engine does.
func (p *parts) start(self rpc.DaemonServer) error {
	p.plans, p.noPlans = context.WithCancel(context.Background())
	p.life, p.finish = context.WithCancel(context.Background())
	p.planning, p.plans = errgroup.WithContext(p.plans)
	p.living, p.life = errgroup.WithContext(p.life)
	p.mem = memstore.New(memstore.Options{KeepLeases: true, History: keptRevisions})
	p.kv = p.mem.Client("solo")
	if _, err := store.Init(p.life, p.kv, p.keys, "distsuperd solo"); err != nil {
		return err
	}
	id, err := rpc.NewIdentity("distsuperd solo")
	if err != nil {
		return err
	}
	if err := p.serveAPI(id, self); err != nil {
		return err
	}
	if err := p.publish(id); err != nil {
		return err
	}
	if err := p.serveStore(); err != nil {
		return err
	}
	machine := p.s.config.Agent.Machine
	p.control = controller.New(controller.Options{KV: p.kv, Keys: p.keys, ID: p.s.config.Controller.ID, ElectionTTL: electionTTL, Settle: -1,
		Expand: spec.Processes, Fingerprint: spec.Fingerprint, Asker: rpc.Agents{Cert: id.Cert},
		History: store.NewHistory(p.kv, p.keys, "leader "+p.s.config.Controller.ID, clock.Real{}),
		Clock:   clock.Real{}, Log: p.log.Named("controller")})
	history := store.NewHistory(p.kv, p.keys, "agent "+machine, clock.Real{})
	info := api.MachineInfo{Name: machine, Labels: p.s.config.Agent.Labels, Version: version.String(),
		API: "unix:" + p.apiSocket(), Fingerprint: id.Fingerprint, TakesAll: true}
	p.agent, err = agentd.New(agentd.Options{Machine: machine, KV: p.kv, Keys: p.keys, Keeper: p.keeper, Info: info,
		History: history.Op, HistoryLost: history.Forget, Clock: clock.Real{}, Log: p.log.Named("agent"), TouchTimeout: touchTimeout, Lasting: true})
	if err != nil {
		return err
	}
	p.planning.Go(func() error { return p.control.Run(p.plans) })
	p.living.Go(func() error { return unlessEnded(p.life, p.agent.Run(p.life)) })
	return nil
}

// unlessEnded is err, unless it is that of a context that ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

func (p *parts) apiSocket() string { return filepath.Join(p.runtime, "agent.sock") }

// serveStore lets distsuperctl in.
func (p *parts) serveStore() error {
	l, err := etcdapi.Listen(config.SoloSocket(p.runtime))
	if err != nil {
		return err
	}
	p.served = etcdapi.New(p.mem.Client("served"))
	p.living.Go(func() error { return p.served.Serve(l) })
	return nil
}

// publish says where this daemon answers as a controller, which is where it does as an agent.
func (p *parts) publish(id rpc.Identity) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the host name: %w", err)
	}
	self := api.Controller{ID: p.s.config.Controller.ID, Host: host, HTTP: "unix:" + p.apiSocket(), Fingerprint: id.Fingerprint, Version: version.String()}
	_, err = p.kv.Txn(p.life, store.Txn{Then: []store.Op{store.Put(p.keys.Controller(self.ID), store.Encode(self))}})
	return err
}

// serveAPI answers what is asked of agents (logs, signals, stdin) and of this daemon itself.
func (p *parts) serveAPI(id rpc.Identity, self rpc.DaemonServer) error {
	l, err := etcdapi.Listen(p.apiSocket())
	if err != nil {
		return err
	}
	log := p.log.Named("api")
	pins := trust.NewPins(p.kv, p.keys, id.Fingerprint, clock.Real{})
	secure := tls.NewListener(l, rpc.ServerConfig(id.Cert, rpc.Trust(pins, nil)))
	handler := web.Handler(web.Options{Keeper: p.keeper, Health: p.health, Daemon: self, Log: log})
	p.living.Go(func() error { return rpc.Serve(p.life, secure, handler, log) })
	return nil
}

func (p *parts) health(ctx context.Context) rpc.Health {
	h := rpc.Health{Machine: p.s.config.Agent.Machine, Version: version.String(), Store: "connected"}
	if p.agent != nil {
		a := p.agent.Health()
		h.Ready, h.Instance, h.Processes, h.Problem = a.Connected && a.Claimed, a.Instance, a.Runs, a.Problem
	}
	if hello, err := p.keeper.Hello(ctx); err == nil {
		h.KeeperPID, h.Containment = hello.PID, hello.Containment
	}
	return h
}

// load makes the file's programs those of the store. Each start begins so, from autostart.
func (p *parts) load(ctx context.Context) error {
	c := client.New(p.kv, p.keys, "")
	plan, err := c.PlanLoad(ctx, p.s.config.Ctl.Source, p.s.programs)
	if err != nil {
		return err
	}
	return c.Load(ctx, plan)
}

// failed waits for the first part that cannot go on; nil when all ended as they should.
func (p *parts) failed() error { return errors.Join(p.planning.Wait(), p.living.Wait()) }

// stopPlanning ends what would start processes again that are being stopped.
func (p *parts) stopPlanning() { p.noPlans() }

// close ends everything but the keeper's own loop, which has ended.
func (p *parts) close() error {
	var err error
	if p.life != nil {
		p.noPlans()
		p.finish()
		if p.served != nil {
			p.served.Close()
		}
		err = p.failed()
		p.mem.Close()
	}
	closed := make(chan struct{})
	go func() { p.collector.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		err = errors.Join(err, errors.New("the last output of processes may be lost: their log files cannot be written"))
	}
	for _, name := range []string{config.SoloSocket(p.runtime), p.apiSocket()} {
		os.Remove(name) // closing the listener did it, but for one that was never served
	}
	return err
}

// firstFailure returns when a part ended, with its error; nil when it ended as it should.
func (p *parts) firstFailure() error {
	select {
	case <-p.plans.Done():
	case <-p.life.Done():
	}
	if cause := context.Cause(p.plans); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if cause := context.Cause(p.life); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
