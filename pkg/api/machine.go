package api

import "time"

// MachineInfo is the value of machines/<m>/info, kept after the machine's death.
type MachineInfo struct {
	Name      string            `json:"name"`
	Addresses []string          `json:"addresses,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	// MaxProcesses is the most processes that the leader may place here; 0 is no limit.
	MaxProcesses int `json:"max_processes,omitempty"`
	// TakesAll: this machine is the only one that there will ever be (distsuperd solo), and may run every program,
	// whatever machines the program names.
	TakesAll bool   `json:"takes_all,omitempty"`
	Version  string `json:"version"`
	// KeeperVersion is that of the keeper beside it, which outlives agents. An earlier version does not write it.
	KeeperVersion string `json:"keeper_version,omitempty"`
	// API is host:port of the agent's HTTPS server, Fingerprint the SHA-256 of its certificate in hex.
	API         string `json:"api,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	// Leaving: the machine stopped and released its processes by itself, and took its alive key away. It was not lost.
	Leaving bool `json:"leaving,omitempty"`
	// Containment says how the machine holds what a process starts: see Subreaper.
	Containment string `json:"containment,omitempty"`
	// Instance and Identity are those of the last keeper that held the name, known after its death, too. Dead are the earlier ones
	// of which was proved that nothing is alive: for good, since no instance ever comes back.
	Instance string           `json:"instance,omitempty"`
	Identity HostIdentity     `json:"identity,omitzero"`
	Dead     map[string]Proof `json:"dead,omitempty"`
	// Earlier are those of which something stands in the store and nothing is proved yet, by their instances.
	Earlier map[string]EarlierKeeper `json:"earlier,omitempty"`
	// Warning is shown by machines and status, such as that fencing is not guaranteed on this etcd.
	Warning string `json:"warning,omitempty"`
}

// EarlierKeeper is what a later one must know to prove that nothing is alive of what it ran.
type EarlierKeeper struct {
	Identity    HostIdentity `json:"identity"`
	Containment string       `json:"containment,omitempty"` // as in MachineInfo
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Alive is the value of machines/<m>/alive, on the machine's lease with the shortest touch_timeout.
type Alive struct {
	Instance string `json:"instance"` // made by the keeper at its start
	BootID   string `json:"boot_id"`
	Host     string `json:"host"` // host name and agent's pid, to name a namesake to people
	// Hostname is the host's name alone. An earlier version does not write it.
	Hostname string `json:"hostname,omitempty"`
	// Incarnation is made by each agent at its start: a keeper outlives many.
	Incarnation string       `json:"incarnation,omitempty"`
	Identity    HostIdentity `json:"identity,omitzero"`
	Containment string       `json:"containment,omitempty"` // as in MachineInfo
	Since       time.Time    `json:"since"`
}

// Subreaper is the Containment of a machine without cgroups: it finds the descendants of a process in /proc, and kills them one by
// one. Whoever waits for the death of such a tree waits deadline.TreeTime longer.
const Subreaper = "subreaper"

// Cordon is the value of machines/<m>/cordon: no new placements; with Drain the
// processes that are there move away, too.
type Cordon struct {
	Drain bool `json:"drain,omitempty"`
	// StopUnplaceable: a drain stops also what no other machine can take, which goes on there otherwise.
	StopUnplaceable bool      `json:"stop_unplaceable,omitempty"`
	By              string    `json:"by"`
	At              time.Time `json:"at"`
}

// Seen is the value of machines/<m>/seen, on a lease: what an agent says of itself to a store that it does not believe, since it
// went back; and of seen/<controller>, which is a controller's.
type Seen struct {
	// Tokens is a bound of every token that this daemon can have seen.
	Tokens int64 `json:"tokens"`
	// Leases are those on which its runs count: what comes back of them with a restored store must not be renewed.
	Leases []int64   `json:"leases,omitempty"`
	Why    string    `json:"why"` // it does not believe the store
	At     time.Time `json:"at"`
}

// Held is the value of machines/<m>/held/<process>, on the same lease: a run that goes on there, as the agent would have it placed.
type Held struct {
	Placement Placement `json:"placement"`
	Status    Status    `json:"status"`
}

// MayLive reports whether a copy of the run is alive, or may come back without anybody's word: one that crashed is started again.
func (h Held) MayLive() bool {
	s := h.Status
	return s.PID != 0 || s.State.IsRunning() || s.State == Stopping || s.State == Unknown
}

// ConfirmDead is the value of machines/<m>/dead: an operator vouches that this instance is off.
type ConfirmDead struct {
	Instance string    `json:"instance"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
}

// Losses is the value of machines/<m>/losses: how often the machine was lost lately, which means that it vanished, or its keeper
// with all its processes, without having said that it leaves. For a while after its return it gets a process only where no other
// machine can take it, and after several losses in a row these bit by bit.
type Losses struct {
	Count int       `json:"count"` // in a row, without a long calm in between
	Last  time.Time `json:"last"`
	Wait  int       `json:"wait_seconds"` // from its return on
	// Carried is how many processes were placed on it when it was lost last.
	Carried int `json:"carried,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Trouble is the value of machines/<m>/trouble: the machine is alive, but nothing can be started there, since it lacks what every
// start needs, or since programs fail there that run elsewhere. It gets a process only where no other machine can take it, until one
// that is tried there after a pause starts.
type Trouble struct {
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
	// Tries counts the tries that failed, in a row without a long calm in between; Last is when one did last, and Wait how long nothing is tried after that.
	Tries int       `json:"tries"`
	Last  time.Time `json:"last"`
	Wait  int       `json:"wait_seconds"`
	// Over is when a process started there again, zero while none has.
	Over time.Time `json:"over,omitzero"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Controller is the value of controllers/<id>.
type Controller struct {
	ID          string `json:"id"`
	Host        string `json:"host"`
	HTTP        string `json:"http,omitempty"`
	HereOnly    bool   `json:"here_only,omitempty"` // HTTP is an address of Host that nobody else can reach
	Fingerprint string `json:"fingerprint,omitempty"`
	Version     string `json:"version"`
	// MaxHold is for how many seconds a machine may count on a set of controllers that it read (max_hold), 0 for the default of
	// package promise. LeavingTerm is etcd's raft term when it is about to leave for a while, and gives long promises; 0 when it is not.
	MaxHold     int64  `json:"max_hold,omitempty"`
	LeavingTerm uint64 `json:"leaving_term,omitempty"`
	// Incarnation is made at each registration: the entry that carries it was written by that life of the controller.
	Incarnation string       `json:"incarnation,omitempty"`
	Identity    HostIdentity `json:"identity,omitzero"`
	// Registered is the revision of the registration, once the entry was written again after it; 0 while it is the entry's own.
	Registered int64 `json:"registered,omitempty"`
	// Member: it may act on runs whose touch has expired. One that is not waits until WaitsUntil at most.
	Member     bool      `json:"member,omitempty"`
	WaitsUntil time.Time `json:"waits_until,omitzero"`
	// Acknowledged: it promises nothing more to a machine that does not know of every controller that was registered up to this revision.
	Acknowledged int64 `json:"acknowledged,omitempty"`
}

// Leader is the value of leader: the controller that was elected last.
type Leader struct {
	ID    string    `json:"id"`
	Since time.Time `json:"since"`
}

// Schema is the value of schema: the version of the key layout.
type Schema struct {
	Version int       `json:"version"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	// Floor is added to every token: no token that was given in an earlier store is above it.
	Floor int64 `json:"floor,omitempty"`
	// Restored says that this store, which lost what it knew, counts as it is; nil for one that never did.
	Restored *Restored `json:"restored,omitempty"`
	// Controllers says that this key space has had a controller that gives promises; nil for one that never did.
	Controllers *Controllers `json:"controllers,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Controllers is what stays of controllers that were forgotten.
type Controllers struct {
	// MaxHold is the longest, in seconds, that any of them ever said.
	MaxHold int64 `json:"max_hold"`
	// Off: an operator vouches that a member is off; so no machine that does not know of the controllers that were registered up to this
	// revision gets promises of all any more. OffID is that member, OffBy the operator.
	Off   int64  `json:"off,omitempty"`
	OffID string `json:"off_id,omitempty"`
	OffBy string `json:"off_by,omitempty"`
	// Rest is what a newer version wrote besides.
	Rest Rest `json:"-"`
}

// Restored is an operator's word about a store that was restored from a snapshot, wiped or exchanged: every daemon that found it
// behind accepts it.
type Restored struct {
	ID string    `json:"id"` // another one at each time
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// RestoredID is the ID of the last acceptance, "" for none.
func (s Schema) RestoredID() string {
	if s.Restored == nil {
		return ""
	}
	return s.Restored.ID
}

// SchemaVersion is the layout that this binary speaks. A newer one is refused.
const SchemaVersion = 1

// HistoryEntry is the value of history/<process>/<id>: what happened and why.
type HistoryEntry struct {
	At      time.Time `json:"at"`
	Process string    `json:"process,omitempty"`
	Machine string    `json:"machine,omitempty"`
	Token   int64     `json:"token,omitempty"`
	What    string    `json:"what"` // "placed", "moved", "started", "exited", "stop asked" ...
	Why     string    `json:"why,omitempty"`
	By      string    `json:"by"` // "leader d1", "agent m2", "ann@host"
	// Told is when it was written down, where that is more than a second after it happened: what tells of it could not reach etcd.
	Told time.Time `json:"told,omitzero"`
}
