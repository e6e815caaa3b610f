package config

import "slices"

// Setting is one row of the table: everything there is to know about a setting but its value.
type Setting struct {
	Section string
	Key     string
	// Flag is empty where a flag would show a secret to everybody who may list processes.
	Flag string
	Env  string
	// Default is the text that, standing in the file, means the same as leaving the key out.
	// Shown is what help and template say instead where the default depends on the host.
	Default string
	Shown   string
	// For are the programs that take the flag; none means that there is no flag. Every program reads the
	// file and the environment.
	For []Program
	// Live settings take effect when the daemon re-reads its file (HUP), the others at its next start.
	Live bool
	Help string

	set setter
}

// Name is the setting as messages name it: "[etcd] endpoints".
func (s Setting) Name() string { return "[" + s.Section + "] " + s.Key }

// path is the setting's name for viper.
func (s Setting) path() string { return s.Section + "." + s.Key }

var (
	allPrograms    = []Program{Distsuperd, Agent, Ctl}
	controllerOnly = []Program{Distsuperd}
	agentOnly      = []Program{Agent}
	ctlOnly        = []Program{Ctl}
)

// Settings is the table, in the order in which the template shows it.
var Settings = slices.Concat(etcdSettings, embeddedSettings, controllerSettings, agentSettings, ctlSettings)

var etcdSettings = []Setting{
	{Section: "etcd", Key: "endpoints", Flag: "etcd-endpoints", Env: "DISTSUPER_ETCD_ENDPOINTS", For: allPrograms,
		Help: "where etcd answers: host:port, https://host:port or unix:///path, separated by commas; empty means the etcd that distsuperd runs on this host",
		set:  list(func(c *Config) *[]string { return &c.Etcd.Endpoints })},
	{Section: "etcd", Key: "prefix", Flag: "etcd-prefix", Env: "DISTSUPER_ETCD_PREFIX", For: allPrograms, Default: "/distsuper/",
		Help: "all keys are below this one; two fleets may share an etcd under two prefixes",
		set:  text(func(c *Config) *string { return &c.Etcd.Prefix })},
	{Section: "etcd", Key: "username", Flag: "etcd-username", Env: "DISTSUPER_ETCD_USERNAME", For: allPrograms,
		Help: "etcd user, if etcd asks for one",
		set:  text(func(c *Config) *string { return &c.Etcd.Username })},
	{Section: "etcd", Key: "password", Env: "DISTSUPER_ETCD_PASSWORD",
		Help: "password of the etcd user; write a percent sign as %%",
		set:  text(func(c *Config) *string { return &c.Etcd.Password })},
	{Section: "etcd", Key: "ca", Flag: "etcd-ca", Env: "DISTSUPER_ETCD_CA", For: allPrograms,
		Help: "certificate of the authority that signed etcd's: the name of a file, or the PEM text itself on indented lines",
		set:  pemOrFile(func(c *Config) *string { return &c.Etcd.CA })},
	{Section: "etcd", Key: "cert", Flag: "etcd-cert", Env: "DISTSUPER_ETCD_CERT", For: allPrograms,
		Help: "client certificate for etcd: the name of a file, or the PEM text itself",
		set:  pemOrFile(func(c *Config) *string { return &c.Etcd.Cert })},
	{Section: "etcd", Key: "key", Flag: "etcd-key", Env: "DISTSUPER_ETCD_KEY", For: allPrograms,
		Help: "key of the client certificate: the name of a file, or the PEM text itself",
		set:  pemOrFile(func(c *Config) *string { return &c.Etcd.Key })},
}

var embeddedSettings = []Setting{
	{Section: "embedded-etcd", Key: "listen", Flag: "embedded-etcd-listen", Env: "DISTSUPER_EMBEDDED_ETCD_LISTEN", For: controllerOnly,
		Help: "host:port at which other machines reach the etcd that distsuperd runs, such as 10.0.0.1:2379; empty means a unix socket for this host only",
		set:  address(func(c *Config) *string { return &c.Embedded.Listen })},
	{Section: "embedded-etcd", Key: "peer_listen", Flag: "embedded-etcd-peer-listen", Env: "DISTSUPER_EMBEDDED_ETCD_PEER_LISTEN", For: controllerOnly,
		Help: "host:port at which the other members of that etcd reach this one, such as 10.0.0.1:2380, so that three hosts have one etcd together; empty means that it is alone",
		set:  address(func(c *Config) *string { return &c.Embedded.PeerListen })},
	{Section: "embedded-etcd", Key: "peers", Flag: "embedded-etcd-peers", Env: "DISTSUPER_EMBEDDED_ETCD_PEERS", For: controllerOnly,
		Help: "endpoints of the members that this one joins when it has no data; `distsuperctl init config --join --voter ADDRESS` writes them; empty means that it is the first",
		set:  list(func(c *Config) *[]string { return &c.Embedded.Peers })},
	{Section: "embedded-etcd", Key: "quota", Flag: "embedded-etcd-quota", Env: "DISTSUPER_EMBEDDED_ETCD_QUOTA", Default: "2GB", For: controllerOnly,
		Help: "how much that etcd may store before it takes no writes (NOSPACE), the same on each member; it counts from etcd's next start on",
		set:  size(func(c *Config) *int64 { return &c.Embedded.Quota })},
	{Section: "embedded-etcd", Key: "ca", Env: "DISTSUPER_EMBEDDED_ETCD_CA",
		Help: "certificate of the authority for the clients of the members that it joins: the name of a file, or the PEM text itself",
		set:  pemOrFile(func(c *Config) *string { return &c.Embedded.CA })},
	{Section: "embedded-etcd", Key: "ca_key", Env: "DISTSUPER_EMBEDDED_ETCD_CA_KEY",
		Help: "key of that authority: the name of a file, or the PEM text itself",
		set:  pemOrFile(func(c *Config) *string { return &c.Embedded.CAKey })},
	{Section: "embedded-etcd", Key: "peer_ca", Env: "DISTSUPER_EMBEDDED_ETCD_PEER_CA",
		Help: "certificate of the authority for the members that it joins: the name of a file, or the PEM text itself",
		set:  pemOrFile(func(c *Config) *string { return &c.Embedded.PeerCA })},
	{Section: "embedded-etcd", Key: "peer_ca_key", Env: "DISTSUPER_EMBEDDED_ETCD_PEER_CA_KEY",
		Help: "key of that authority: the name of a file, or the PEM text itself",
		set:  pemOrFile(func(c *Config) *string { return &c.Embedded.PeerCAKey })},
}

var controllerSettings = []Setting{
	{Section: "distsuperd", Key: "id", Flag: "id", Env: "DISTSUPER_CONTROLLER_ID", For: controllerOnly, Shown: "the host name",
		Help: "name of this controller; each distsuperd needs its own",
		set:  text(func(c *Config) *string { return &c.Controller.ID })},
	{Section: "distsuperd", Key: "http", Flag: "http", Env: "DISTSUPER_CONTROLLER_HTTP", For: controllerOnly,
		Shown: ":3378, or 127.0.0.1:3378 while the store serves this host only; another port when that is busy",
		Help:  "host:port on which distsuperd serves HTTPS, and its health by plain HTTP (to this host alone unless this is set); port 0 takes a free one",
		set:   listener(func(c *Config) *string { return &c.Controller.HTTP })},
	{Section: "distsuperd", Key: "election_ttl", Flag: "election-ttl", Env: "DISTSUPER_CONTROLLER_ELECTION_TTL", For: controllerOnly, Default: "5",
		Help: "seconds after which another distsuperd leads when the leader is silent; at least 2",
		set:  number(2, func(c *Config) *int { return &c.Controller.ElectionTTL })},
	{Section: "distsuperd", Key: "settle", Flag: "settle", Env: "DISTSUPER_CONTROLLER_SETTLE", For: controllerOnly, Default: "15",
		Help: "seconds that a new leader waits for machines when more than half of them are absent",
		set:  seconds(func(c *Config) *duration { return &c.Controller.Settle })},
	{Section: "distsuperd", Key: "max_hold", Flag: "max-hold", Env: "DISTSUPER_CONTROLLER_MAX_HOLD", For: controllerOnly, Default: "720",
		Help: "seconds for which a machine that does not reach etcd may hold its processes by promise of all controllers, and which a new controller waits before it moves what expired; the least that one of them says counts",
		set:  seconds(func(c *Config) *duration { return &c.Controller.MaxHold })},
	{Section: "distsuperd", Key: "start_pace", Flag: "start-pace", Env: "DISTSUPER_CONTROLLER_START_PACE", For: controllerOnly, Default: "32",
		Help: "processes that a machine is given at a time; more when it has taken up half of them. All machines together get 16 times as many",
		set:  number(1, func(c *Config) *int { return &c.Controller.StartPace })},
	{Section: "distsuperd", Key: "state_directory", Flag: "state-dir", Env: "DISTSUPER_STATE_DIRECTORY", For: controllerOnly,
		Shown: ".distsuper beside this file, /var/lib/distsuper for a file in /etc",
		Help:  "where distsuperd and its etcd keep what must outlive them",
		set:   path(func(c *Config) *string { return &c.Controller.StateDir })},
	{Section: "distsuperd", Key: "log", Flag: "log", Env: "DISTSUPER_CONTROLLER_LOG", For: controllerOnly, Shown: "distsuperd.log in the state directory",
		Help: "log file of distsuperd in the background",
		set:  path(func(c *Config) *string { return &c.Controller.Log.File })},
	{Section: "distsuperd", Key: "log_maxbytes", Flag: "log-maxbytes", Env: "DISTSUPER_CONTROLLER_LOG_MAXBYTES", For: controllerOnly, Default: "50MB",
		Help: "size at which the log file is rotated; 0 means never",
		set:  size(func(c *Config) *int64 { return &c.Controller.Log.MaxBytes })},
	{Section: "distsuperd", Key: "log_backups", Flag: "log-backups", Env: "DISTSUPER_CONTROLLER_LOG_BACKUPS", For: controllerOnly, Default: "10",
		Help: "how many rotated log files to keep",
		set:  number(0, func(c *Config) *int { return &c.Controller.Log.Backups })},
	{Section: "distsuperd", Key: "log_level", Flag: "log-level", Env: "DISTSUPER_CONTROLLER_LOG_LEVEL", For: controllerOnly, Default: "info", Live: true,
		Help: "least important message to log: debug, info, warn or error",
		set:  level(func(c *Config) *string { return &c.Controller.Log.Level })},
}

var agentSettings = []Setting{
	{Section: "distsuperagent", Key: "machine", Flag: "machine", Env: "DISTSUPER_AGENT_MACHINE", For: agentOnly, Shown: "the host name",
		Help: "name of this machine in the fleet",
		set:  text(func(c *Config) *string { return &c.Agent.Machine })},
	{Section: "distsuperagent", Key: "addresses", Flag: "addresses", Env: "DISTSUPER_AGENT_ADDRESSES", For: agentOnly, Live: true,
		Shown: "those of the host's interfaces",
		Help:  "addresses of this machine, separated by commas: programs may refer to it by any of them, and its agent is reached at the first",
		set:   list(func(c *Config) *[]string { return &c.Agent.Addresses })},
	{Section: "distsuperagent", Key: "labels", Flag: "labels", Env: "DISTSUPER_AGENT_LABELS", For: agentOnly, Live: true,
		Help: "labels of this machine, such as zone=a,disk=ssd, which programs may ask for",
		set:  pairs(func(c *Config) *map[string]string { return &c.Agent.Labels })},
	{Section: "distsuperagent", Key: "max_processes", Flag: "max-processes", Env: "DISTSUPER_AGENT_MAX_PROCESSES", For: agentOnly, Default: "0", Live: true,
		Help: "how many processes may be placed on this machine; 0 means no limit",
		set:  number(0, func(c *Config) *int { return &c.Agent.MaxProcesses })},
	{Section: "distsuperagent", Key: "http", Flag: "http", Env: "DISTSUPER_AGENT_HTTP", For: agentOnly,
		Shown: ":3379, or 127.0.0.1:3379 while the store serves this host only; another port when that is busy",
		Help:  "host:port on which the agent serves HTTPS, for logs and signals; port 0 takes a free one",
		set:   listener(func(c *Config) *string { return &c.Agent.HTTP })},
	{Section: "distsuperagent", Key: "state_directory", Flag: "state-dir", Env: "DISTSUPER_STATE_DIRECTORY", For: agentOnly,
		Shown: ".distsuper beside this file, /var/lib/distsuper for a file in /etc",
		Help:  "where the agent and the keeper keep what must outlive them, including the logs of processes",
		set:   path(func(c *Config) *string { return &c.Agent.StateDir })},
	{Section: "distsuperagent", Key: "log", Flag: "log", Env: "DISTSUPER_AGENT_LOG", For: agentOnly, Shown: "distsuperagent.log in the state directory",
		Help: "log file of the agent in the background",
		set:  path(func(c *Config) *string { return &c.Agent.Log.File })},
	{Section: "distsuperagent", Key: "log_maxbytes", Flag: "log-maxbytes", Env: "DISTSUPER_AGENT_LOG_MAXBYTES", For: agentOnly, Default: "50MB",
		Help: "size at which the log file is rotated; 0 means never",
		set:  size(func(c *Config) *int64 { return &c.Agent.Log.MaxBytes })},
	{Section: "distsuperagent", Key: "log_backups", Flag: "log-backups", Env: "DISTSUPER_AGENT_LOG_BACKUPS", For: agentOnly, Default: "10",
		Help: "how many rotated log files to keep",
		set:  number(0, func(c *Config) *int { return &c.Agent.Log.Backups })},
	{Section: "distsuperagent", Key: "log_level", Flag: "log-level", Env: "DISTSUPER_AGENT_LOG_LEVEL", For: agentOnly, Default: "info", Live: true,
		Help: "least important message to log: debug, info, warn or error",
		set:  level(func(c *Config) *string { return &c.Agent.Log.Level })},
}

var ctlSettings = []Setting{
	{Section: "distsuperctl", Key: "source", Flag: "source", Env: "DISTSUPER_CTL_SOURCE", For: ctlOnly, Default: "file",
		Help: "name under which load writes programs; it changes and removes only those of the same name",
		set:  source(func(c *Config) *string { return &c.Ctl.Source })},
	{Section: "distsuperctl", Key: "prompt", Flag: "prompt", Env: "DISTSUPER_CTL_PROMPT", For: ctlOnly, Default: "distsuper",
		Help: "prompt of the shell, which \"> \" follows; if unset, that of [supervisorctl] if there is one",
		set:  text(func(c *Config) *string { return &c.Ctl.Prompt })},
	{Section: "distsuperctl", Key: "history_file", Flag: "history-file", Env: "DISTSUPER_CTL_HISTORY_FILE", For: ctlOnly,
		Shown: "distsuper/history in $XDG_STATE_HOME, else in ~/.local/state",
		Help:  "file in which the shell keeps the lines that you type, readable only by you; none keeps nothing; if unset, that of [supervisorctl]",
		set:   keptFile(func(c *Config) *string { return &c.Ctl.HistoryFile })},
	{Section: "distsuperctl", Key: "machines_file", Flag: "machines-file", Env: "DISTSUPER_CTL_MACHINES_FILE", For: ctlOnly,
		Shown: "distsuper/machines-ID.json in $XDG_STATE_HOME, else in ~/.local/state",
		Help: "file, readable only by you, in which distsuperctl keeps the addresses of the machines and the fleet's signing key, if you may read it, " +
			"so that it can ask machines while etcd is silent; none keeps nothing",
		set: keptFile(func(c *Config) *string { return &c.Ctl.MachinesFile })},
}

// sections are the sections of the table, in its order.
func sections() []string {
	var names []string
	for _, s := range Settings {
		if !slices.Contains(names, s.Section) {
			names = append(names, s.Section)
		}
	}
	return names
}

// keys are the keys of one section, in the table's order.
func keys(section string) []string {
	var names []string
	for _, s := range Settings {
		if s.Section == section {
			names = append(names, s.Key)
		}
	}
	return names
}
