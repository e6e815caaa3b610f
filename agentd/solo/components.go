package solo

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	"github.com/distsuper/distsuper/agentd/solo/mainlog"
	"github.com/distsuper/distsuper/controller"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/mode"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/version"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcdapi"
	"github.com/distsuper/distsuper/store/memstore"
)

// alone is the one place that says what this package is about: every component gets it with its options, below.
const alone = mode.Alone

// keptRevisions is how far back the store remembers: enough for a distsuperctl that is slow.
const keptRevisions = 2000

// components are controller, agent and keeper in one process, on a store in its memory.
type components struct {
	settings *Settings
	runtime  string
	access   *privatesock.Access // to the sockets, for others than our user and root; nil for nobody
	log      *zap.Logger

	collector *logs.Collector
	engine    *engine.Engine
	keeper    keeper.Keeper
	mem       *memstore.Server
	kv        *memstore.Client
	keys      store.Keys
	served    []*etcdapi.Server // to our user and root, and to others who have access
	sockets   []*privatesock.Socket
	control   *controller.Controller
	agent     *agentd.Agent

	// placing is what starts processes; it ends first. serving is what reports of them and is spoken to.
	placing, serving         *errgroup.Group
	placeCtx, serveCtx       context.Context
	stopPlacing, stopServing context.CancelFunc
}

// newComponents makes the keeper, and kills what an earlier daemon of this file left running.
func newComponents(s *Settings, runtime string, guardian []string, mainLog *mainlog.Log, to *reporter) (*components, error) {
	c := &components{settings: s, runtime: runtime, log: mainLog.Logger(), keys: store.NewKeys(s.Config.Etcd.Prefix)}
	auto := autoLogs(s)
	output := logs.Options{Auto: auto, SyslogTag: mainlog.SyslogTag}
	if mainLog.Debug() {
		output.Copy = mainLog.Output
	}
	first, err := firstProcesses(s.Programs)
	if err != nil {
		return nil, err
	}
	if c.access, err = s.access(os.Geteuid(), os.Getegid()); err != nil {
		return nil, err
	}
	if err := os.Chmod(runtime, runtimeMode(c.access)); err != nil {
		return nil, fmt.Errorf("open the runtime directory to whom it is for: %w", err)
	}
	if c.collector, err = logs.New(output, c.log.Named("logs")); err != nil {
		return nil, err
	}
	o := c.keeperOptions()
	o.Logs, o.AutoLogs, o.GuardianCommand, o.First = c.collector, auto, guardian, first
	o.Watch, o.Orphan = to.report, to.reportOrphan
	if c.engine, err = engine.New(o); err != nil {
		return nil, err
	}
	c.keeper = keeperd.Of(c.engine, c.collector)
	return c, nil
}

func (c *components) keeperOptions() engine.Options {
	return engine.Options{Mode: alone, Dir: c.runtime, Logger: c.log.Named("keeper"), Version: version.String(), Environ: environ(),
		StreamPrefix: c.settings.StdoutLogPrefix}
}

func (c *components) storeOptions() memstore.Options {
	return memstore.Options{Mode: alone, History: keptRevisions}
}

func (c *components) controllerOptions(id mtls.Identity) controller.Options {
	name := c.settings.Config.Controller.ID
	return controller.Options{Mode: alone, KV: c.kv, Keys: c.keys, ID: name, Expand: spec.Processes, Fingerprint: spec.Fingerprint,
		Asker: rpc.Agents{Cert: id.Cert}, History: store.NewHistory(c.kv, c.keys, "leader "+name, clock.Real{}),
		Clock: clock.Real{}, Log: c.log.Named("controller")}
}

func (c *components) agentOptions(id mtls.Identity) agentd.Options {
	machine := c.settings.Config.Agent.Machine
	history := store.NewHistory(c.kv, c.keys, "agent "+machine, clock.Real{})
	info := api.MachineInfo{Name: machine, Labels: c.settings.Config.Agent.Labels, Version: version.String(),
		API: "unix:" + c.apiSocket(), Fingerprint: id.Fingerprint}
	return agentd.Options{Mode: alone, Machine: machine, KV: c.kv, Keys: c.keys, Keeper: c.keeper, Info: info,
		History: history.Op, HistoryLost: history.Forget, Clock: clock.Real{}, Log: c.log.Named("agent")}
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
func (c *components) start(self rpc.DaemonServer) error {
	c.placeCtx, c.stopPlacing = context.WithCancel(context.Background())
	c.serveCtx, c.stopServing = context.WithCancel(context.Background())
	c.placing, c.placeCtx = errgroup.WithContext(c.placeCtx)
	c.serving, c.serveCtx = errgroup.WithContext(c.serveCtx)
	c.mem = memstore.New(c.storeOptions())
	c.kv = c.mem.Client("solo")
	if _, err := store.Init(c.serveCtx, c.kv, c.keys, Program); err != nil {
		return err
	}
	id, err := mtls.NewIdentity(Program)
	if err != nil {
		return err
	}
	if err := c.serveAPI(id, self); err != nil {
		return err
	}
	if err := c.publish(id); err != nil {
		return err
	}
	if err := c.serveStore(); err != nil {
		return err
	}
	c.control = controller.New(c.controllerOptions(id))
	if c.agent, err = agentd.New(c.agentOptions(id)); err != nil {
		return err
	}
	c.placing.Go(func() error { return c.control.Run(c.placeCtx) })
	c.serving.Go(func() error { return unlessEnded(c.serveCtx, c.agent.Run(c.serveCtx)) })
	return nil
}

// unlessEnded is err, unless it is that of a context that ended.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// load makes the programs of the file those of the store. So begins each start, with what autostart says.
func (c *components) load(ctx context.Context) error {
	loader := client.New(c.kv, c.keys, "")
	plan, err := loader.PlanLoad(ctx, c.settings.Config.Ctl.Source, c.settings.Programs)
	if err != nil {
		return err
	}
	return loader.Load(ctx, plan)
}

// close ends everything but the keeper's own loop, which has ended.
func (c *components) close() error {
	var err error
	if c.serveCtx != nil {
		c.stopPlacing()
		c.stopServing()
		for _, server := range c.served {
			server.Close()
		}
		err = errors.Join(c.placing.Wait(), c.serving.Wait())
		c.mem.Close()
	}
	closed := make(chan struct{})
	go func() { c.collector.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		err = errors.Join(err, errors.New("the last output of processes may be lost: their log files cannot be written"))
	}
	for _, l := range c.sockets {
		l.Close() // one that was never served
	}
	return err
}

// firstFailure returns when a component has ended, with its error; nil when it ended as it should.
func (c *components) firstFailure() error {
	select {
	case <-c.placeCtx.Done():
	case <-c.serveCtx.Done():
	}
	if cause := context.Cause(c.placeCtx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	if cause := context.Cause(c.serveCtx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}
