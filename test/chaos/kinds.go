package chaos

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"
)

// What the processes of a host are called, see cluster.Node.PIDs.
const (
	agentProcess      = "distsuperagent run"
	keeperProcess     = "distsuperagent keeper"
	guardianProcess   = "distsuperagent guardian"
	controllerProcess = "distsuperd run"
)

// kind is a way to go wrong.
type kind struct {
	about  string
	weight int
	// begin does it; end takes it back, as far as that is not done anyhow when the burst is over.
	begin, end func(context.Context, *round, Fault) error

	voters   bool   // it befalls hosts with etcd only
	proxied  bool   // or the one that reaches etcd by proxies
	edge     bool   // it has a far end
	alone    bool   // nothing else may go wrong beside it
	survived bool   // alone, it leaves a fleet that keeps its bound
	share    [2]int // from, to
}

// kinds is the table of all, by name.
var kinds map[string]kind

func init() {
	kinds = map[string]kind{
		"kill-agent":        {weight: 4, survived: true, about: "SIGKILL of the agent", begin: kill(agentProcess), end: startAgent},
		"kill-keeper":       {weight: 4, survived: true, about: "SIGKILL of the keeper", begin: kill(keeperProcess), end: startAgent},
		"kill-guardian":     {weight: 2, survived: true, about: "SIGKILL of the guardian", begin: kill(guardianProcess)},
		"kill-keeper-agent": {weight: 3, survived: true, about: "SIGKILL of keeper and agent", begin: kill(keeperProcess, agentProcess), end: startAgent},
		"kill-distsuperd":   {weight: 3, survived: true, voters: true, about: "SIGKILL of a distsuperd", begin: kill(controllerProcess), end: startController},
		"kill-etcd":         {weight: 3, survived: true, voters: true, about: "SIGKILL of a member of etcd", begin: killEtcd, end: startEtcd},
		"kill-host":         {weight: 5, survived: true, about: "SIGKILL of everything on a host", begin: killHost, end: startHost},
		"stop-agent":        {weight: 4, survived: true, about: "SIGSTOP of the agent, then SIGCONT", begin: stop(agentProcess), end: goOn(agentProcess)},
		"stop-keeper":       {weight: 4, survived: true, about: "SIGSTOP of the keeper, then SIGCONT", begin: stop(keeperProcess), end: goOn(keeperProcess)},
		"stop-guardian":     {weight: 2, survived: true, about: "SIGSTOP of the guardian, then SIGCONT", begin: stop(guardianProcess), end: goOn(guardianProcess)},
		"stop-keeper-agent": {weight: 4, survived: true, about: "SIGSTOP of keeper and agent, then SIGCONT", begin: stop(keeperProcess, agentProcess), end: goOn(keeperProcess, agentProcess)},
		"stop-keeper-guard": {weight: 2, survived: true, about: "SIGSTOP of keeper and guardian, then SIGCONT", begin: stop(keeperProcess, guardianProcess), end: goOn(keeperProcess, guardianProcess)},
		"stop-distsuperd":   {weight: 3, survived: true, voters: true, about: "SIGSTOP of a distsuperd, then SIGCONT", begin: stop(controllerProcess), end: goOn(controllerProcess)},
		"stop-etcd":         {weight: 3, survived: true, voters: true, about: "SIGSTOP of a member of etcd, then SIGCONT", begin: stopEtcd, end: goOnEtcd},
		"freeze-host":       {weight: 3, survived: true, about: "SIGSTOP of everything on a host, then SIGCONT", begin: freeze, end: thaw},
	}
}

// Kinds are the names of all kinds of faults, each with what it does.
func Kinds() (all [][2]string) {
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, [2]string{name, kinds[name].about})
	}
	return all
}

// drawKind draws by weight.
func drawKind(r *rand.Rand) string {
	names, sum := slices.Sorted(maps.Keys(kinds)), 0
	for _, name := range names {
		sum += kinds[name].weight
	}
	n := r.IntN(sum)
	for _, name := range names {
		if n -= kinds[name].weight; n < 0 {
			return name
		}
	}
	panic("the weights have changed meanwhile")
}

func kill(names ...string) func(context.Context, *round, Fault) error {
	return func(_ context.Context, r *round, f Fault) error {
		r.hosts[f.Host].node.Signal(unix.SIGKILL, names...)
		return nil
	}
}

func stop(names ...string) func(context.Context, *round, Fault) error {
	return func(_ context.Context, r *round, f Fault) error {
		r.hosts[f.Host].node.Signal(unix.SIGSTOP, names...)
		return nil
	}
}

func goOn(names ...string) func(context.Context, *round, Fault) error {
	return func(_ context.Context, r *round, f Fault) error {
		r.hosts[f.Host].node.Signal(unix.SIGCONT, names...)
		return nil
	}
}

func startAgent(ctx context.Context, r *round, f Fault) error { return r.hosts[f.Host].startAgent(ctx) }

func startController(ctx context.Context, r *round, f Fault) error {
	return r.hosts[f.Host].startController(ctx)
}

func startHost(ctx context.Context, r *round, f Fault) error { return r.hosts[f.Host].start(ctx) }

func startEtcd(_ context.Context, r *round, f Fault) error { return r.hosts[f.Host].startEtcd() }

func killEtcd(_ context.Context, r *round, f Fault) error {
	r.hosts[f.Host].etcd(unix.SIGKILL)
	return nil
}

func stopEtcd(_ context.Context, r *round, f Fault) error {
	r.hosts[f.Host].etcd(unix.SIGSTOP)
	return nil
}

func goOnEtcd(_ context.Context, r *round, f Fault) error {
	r.hosts[f.Host].etcd(unix.SIGCONT)
	return nil
}

// killHost is the loss of power.
func killHost(_ context.Context, r *round, f Fault) error {
	h := r.hosts[f.Host]
	h.etcd(unix.SIGSTOP)
	h.node.Kill()
	h.etcd(unix.SIGKILL)
	return nil
}

// freeze is the pause of a virtual machine, but that the clocks go on.
func freeze(_ context.Context, r *round, f Fault) error {
	h := r.hosts[f.Host]
	h.etcd(unix.SIGSTOP)
	r.journal.note(Freezes, h.name, "")
	h.node.Signal(unix.SIGSTOP)
	h.node.Signal(unix.SIGSTOP) // what was started meanwhile
	return nil
}

func thaw(_ context.Context, r *round, f Fault) error {
	h := r.hosts[f.Host]
	h.node.Signal(unix.SIGCONT)
	r.journal.note(Thaws, h.name, "")
	h.etcd(unix.SIGCONT)
	return nil
}
