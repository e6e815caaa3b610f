package chaos

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
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
	family family
	weight int // 0: see Plan.outage
	// begin does it; end takes it back, as far as that is not done anyhow when the burst is over.
	begin, end func(context.Context, *round, Fault) error

	voters   bool   // it befalls hosts with etcd only
	proxied  bool   // or the one that reaches etcd by proxies
	edge     bool   // it has a far end
	alone    bool   // nothing else may go wrong beside it
	survived bool   // alone, it leaves a fleet that keeps its bound
	costs    cost   // what it may cost, besides the machine
	gentle   bool   // for a moment, it ends nothing that is held by promise
	local    bool   // it changes nothing for another host
	share    [2]int // from, to
}

// cost is what a fault may take besides what a process needs to run.
type cost int

const (
	leader   cost = 1 << iota // among the distsuperd
	election                  // one of etcd, after which leases start anew
	promises                  // some may be in force when a process ends
)

// family is a group of kinds, as a short table has it.
type family string

const (
	killed  family = "SIGKILL of a daemon"
	stopped family = "SIGSTOP of a daemon"
	hosts   family = "a host dies, or stands still"
	packets family = "network: cut, one-way, loss, delay"
	members family = "a member of etcd"
	outages family = "all of etcd, 20 to 60 s"
	disks   family = "a full disk"
)

// kinds is the table of all, by name.
var kinds map[string]kind

func init() {
	const whole = leader | election
	kinds = map[string]kind{
		"kill-agent":        {family: killed, weight: 4, survived: true, gentle: true, local: true, about: "SIGKILL of the agent", begin: kill(agentProcess), end: startAgent},
		"kill-keeper":       {family: killed, weight: 4, survived: true, local: true, about: "SIGKILL of the keeper", begin: kill(keeperProcess), end: startAgent},
		"kill-guardian":     {family: killed, weight: 2, survived: true, gentle: true, local: true, about: "SIGKILL of the guardian", begin: kill(guardianProcess)},
		"kill-keeper-agent": {family: killed, weight: 3, survived: true, local: true, about: "SIGKILL of keeper and agent", begin: kill(keeperProcess, agentProcess), end: startAgent},
		"shift-agent":       {family: killed, weight: 3, survived: true, local: true, about: "SIGKILL of the agent, and a start of it by other clocks than its keeper's, which is refused", begin: shiftAgent, end: startAgent},
		"kill-distsuperd":   {family: killed, weight: 3, survived: true, costs: leader, gentle: true, voters: true, about: "SIGKILL of a distsuperd", begin: kill(controllerProcess), end: startController},
		"kill-etcd":         {family: members, weight: 3, survived: true, costs: election, voters: true, about: "SIGKILL of a member of etcd", begin: killEtcd, end: startEtcd},
		"kill-host":         {family: hosts, weight: 5, survived: true, costs: whole, about: "SIGKILL of everything on a host", begin: killHost, end: startHost},
		"stop-agent":        {family: stopped, weight: 4, survived: true, gentle: true, local: true, about: "SIGSTOP of the agent, then SIGCONT", begin: stop(agentProcess), end: goOn(agentProcess)},
		"stop-keeper":       {family: stopped, weight: 4, survived: true, local: true, about: "SIGSTOP of the keeper, then SIGCONT", begin: stop(keeperProcess), end: goOn(keeperProcess)},
		"stop-guardian":     {family: stopped, weight: 2, survived: true, gentle: true, local: true, about: "SIGSTOP of the guardian, then SIGCONT", begin: stop(guardianProcess), end: goOn(guardianProcess)},
		"stop-keeper-agent": {family: stopped, weight: 4, survived: true, local: true, about: "SIGSTOP of keeper and agent, then SIGCONT", begin: stop(keeperProcess, agentProcess), end: goOn(keeperProcess, agentProcess)},
		"stop-keeper-guard": {family: stopped, weight: 2, survived: true, local: true, about: "SIGSTOP of keeper and guardian, then SIGCONT", begin: stop(keeperProcess, guardianProcess), end: goOn(keeperProcess, guardianProcess)},
		"stop-distsuperd":   {family: stopped, weight: 3, survived: true, costs: leader, gentle: true, voters: true, about: "SIGSTOP of a distsuperd, then SIGCONT", begin: stop(controllerProcess), end: goOn(controllerProcess)},
		"stop-etcd":         {family: members, weight: 3, survived: true, costs: election, voters: true, about: "SIGSTOP of a member of etcd, then SIGCONT", begin: stopEtcd, end: goOnEtcd},
		"freeze-host":       {family: hosts, weight: 3, survived: true, costs: whole, about: "SIGSTOP of everything on a host, then SIGCONT", begin: freeze, end: thaw},
		"etcd-wipe":         {family: members, weight: 2, survived: true, costs: election, voters: true, alone: true, about: "a member of etcd loses its data, and is replaced", begin: wipe},
		"disk-full":         {family: disks, weight: 3, survived: true, costs: leader | promises, about: "no room on the disk of a host's state", begin: fill, end: empty},
		"delay":             {family: packets, weight: 3, survived: true, costs: leader | promises, proxied: true, share: [2]int{20, 900}, about: "etcd's answers to a host come late, by so many milliseconds each way", begin: delay, end: hasten},

		"outage-kill":   {family: outages, about: "SIGKILL of all members of etcd, which are started again", begin: everyEtcd(unix.SIGKILL), end: startEveryEtcd},
		"outage-stop":   {family: outages, about: "SIGSTOP of all members of etcd, then SIGCONT", begin: everyEtcd(unix.SIGSTOP), end: everyEtcd(unix.SIGCONT)},
		"outage-silent": {family: outages, about: "packets between all members of etcd and whoever uses it are dropped", begin: silence, end: unsilence},
	}
	for name, c := range map[string]struct {
		cut
		kind
	}{
		"cut":          {cut{in: drop, out: drop}, kind{weight: 6, about: "a host's packets are dropped, in both directions"}},
		"cut-reset":    {cut{in: reset, out: reset}, kind{weight: 4, about: "a host's connections are refused, in both directions"}},
		"cut-in":       {cut{in: drop}, kind{weight: 3, about: "what is sent to a host is dropped"}},
		"cut-out":      {cut{out: drop}, kind{weight: 3, about: "what a host sends is dropped"}},
		"cut-edge":     {cut{in: drop, out: drop, what: theEdge}, kind{weight: 4, edge: true, about: "packets between two hosts are dropped"}},
		"cut-pair":     {cut{in: drop, out: drop, what: theOthers}, kind{weight: 3, edge: true, about: "two hosts are cut off from all others"}},
		"store-silent": {cut{in: drop, out: drop, what: theStore}, kind{weight: 4, about: "packets between a host and any member of etcd are dropped"}},
		"store-reset":  {cut{in: reset, out: reset, what: theStore}, kind{weight: 3, about: "connections between a host and any member of etcd are refused"}},
		"loss":         {cut{in: lose, out: lose}, kind{weight: 4, share: [2]int{5, 60}, about: "so many percent of a host's packets are lost, by chance"}},
	} {
		k := c.kind
		k.survived = c.what != theOthers // who is pinned to both has nowhere to go
		k.family, k.costs = packets, whole|promises
		k.begin, k.end = cutting(c.cut)
		kinds[name] = k
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

func shiftAgent(ctx context.Context, r *round, f Fault) error {
	r.hosts[f.Host].node.Signal(unix.SIGKILL, agentProcess)
	return r.hosts[f.Host].shiftAgent(ctx)
}

func startController(ctx context.Context, r *round, f Fault) error {
	return r.returnController(ctx, r.hosts[f.Host], net.JoinHostPort(address(f.Host), "3378"))
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
