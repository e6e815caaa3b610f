package store

// A KeyDoc documents one kind of key: who writes it and what it holds.
type KeyDoc struct {
	Kind    Kind
	Path    string // below the prefix; <...> stands for a name
	Writer  string
	Leased  bool // etcd deletes it when its writer falls silent
	Content string
}

// Layout is the key space, as people are shown it. One kind of writer a subtree, so that etcd's own roles can hold
// each writer to its part.
var Layout = []KeyDoc{
	{Kind: KindSchema, Path: "schema", Writer: "`init db`", Content: "the version of this layout"},
	{Kind: KindProgram, Path: "programs/<program>", Writer: "ctl, Go API", Content: "the program as the user wrote it, and its source: a configuration or the API"},
	{Kind: KindLoad, Path: "loads/<source>", Writer: "ctl", Content: "a load that has not finished: who began it, when, and how much it changes"},
	{Kind: KindIntent, Path: "intents/<process>", Writer: "ctl, Go API", Content: "run or stop, the number of restarts asked for, who asked and when"},
	{Kind: KindOwner, Path: "owners/<process>", Writer: "leader", Content: "the machine and token of the latest run, why that machine was chosen, and the machines on which it failed; outlives the placement"},
	{Kind: KindInfo, Path: "machines/<m>/info", Writer: "agent", Content: "name, addresses, labels, version, and how its agent is reached; stays until `machines forget`"},
	{Kind: KindAlive, Path: "machines/<m>/alive", Writer: "agent", Leased: true, Content: "the machine is live: the keeper's instance, the boot, the host"},
	{Kind: KindCordon, Path: "machines/<m>/cordon", Writer: "ctl", Content: "no new processes on this machine; or drain"},
	{Kind: KindDead, Path: "machines/<m>/dead", Writer: "ctl", Content: "an operator vouches that this instance of the machine is off (`machines confirm-dead`)"},
	{Kind: KindLosses, Path: "machines/<m>/losses", Writer: "leader", Content: "how often the machine was lost lately, and for how long after its return it is avoided"},
	{Kind: KindTrouble, Path: "machines/<m>/trouble", Writer: "leader", Content: "starts fail on this machine: why, since when, and when one is tried again"},
	{Kind: KindSeen, Path: "machines/<m>/seen", Writer: "agent", Leased: true, Content: "the agent does not believe this etcd, since it went back: what it has seen"},
	{Kind: KindHeld, Path: "machines/<m>/held/<process>", Writer: "agent", Leased: true, Content: "a process that goes on meanwhile on such a machine"},
	{Kind: KindPlacement, Path: "machines/<m>/placements/<process>", Writer: "leader", Content: "this process belongs on this machine, under this token; holds all the settings that the agent needs"},
	{Kind: KindTouch, Path: "machines/<m>/touch/<process>", Writer: "agent", Leased: true, Content: "this machine holds the process under this token"},
	{Kind: KindStatus, Path: "machines/<m>/status/<process>", Writer: "agent", Content: "what the machine last saw of the process: state, pid, exit status, times, reason"},
	{Kind: KindHistory, Path: "history/<subject>/<id>", Writer: "leader, agents, ctl", Leased: true, Content: "what happened to a process or machine, and why; kept for a week"},
	{Kind: KindController, Path: "controllers/<id>", Writer: "distsuperd", Content: "the address and certificate fingerprint of a controller"},
	{Kind: KindPublicKey, Path: "keys/public", Writer: "`init db`", Content: "the public half of the fleet's signing key, as PEM"},
	{Kind: KindSigningKey, Path: "keys/signing", Writer: "`init db`", Content: "the private half, as PEM: whoever can read it is an administrator of the fleet"},
	{Kind: KindLeader, Path: "leader", Writer: "leader", Content: "who was elected last, and when; the first thing that a new leader writes"},
	{Kind: KindControllerSeen, Path: "seen/<id>", Writer: "distsuperd", Leased: true, Content: "this controller does not believe this etcd, since it went back: what it has seen"},
	{Kind: KindRestoring, Path: "restoring", Writer: "`init db --after-restore`", Leased: true, Content: "nobody leads while this is there: what runs is being taken over"},
	{Kind: KindVoter, Path: "voters/<member>", Writer: "distsuperd, ctl", Content: "how far a member of distsuperd's own etcd has come: one that starts with less was restored from an old copy"},
	{Kind: KindOther, Path: "election/<lease>", Writer: "distsuperd", Leased: true, Content: "a candidate for leadership; the oldest one leads"},
}
