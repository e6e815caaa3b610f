package config

import (
	"net"
	"time"

	"github.com/distsuper/distsuper/pkg/ini"
)

// Program is one of the three binaries.
type Program string

// The programs, by the names of their binaries and of their sections.
const (
	Distsuperd Program = "distsuperd"
	Agent      Program = "distsuperagent"
	Ctl        Program = "distsuperctl"
)

// Config is what a program was told. Paths are absolute.
type Config struct {
	// File is the ini file that was read, "" when the endpoints came without one. Ini is its
	// contents with all that it includes, never nil.
	File string
	Ini  *ini.File
	// Warnings tell, with file and line, what was read but is probably not what was meant.
	Warnings []string

	Etcd       EtcdConfig
	Embedded   EmbeddedConfig
	Controller ControllerConfig
	Agent      AgentConfig
	Ctl        CtlConfig

	texts map[string]string // by Setting.path: what each was set to, for Changed
}

// EtcdConfig is [etcd]. Without Endpoints distsuperd runs an etcd of its own.
type EtcdConfig struct {
	Endpoints []string
	Prefix    string
	Username  string
	Password  string
	// CA, Cert and Key are each the name of a file or the PEM text itself.
	CA, Cert, Key string
}

// EmbeddedConfig is [embedded-etcd].
type EmbeddedConfig struct {
	// Listen is host:port for other machines; "" is a unix socket in the state directory only.
	Listen string
	// PeerListen is host:port for the other members; "" is an etcd that is alone.
	PeerListen string
	// Peers are the endpoints of members that this one joins; none is the first of all, or alone.
	Peers []string
	// Quota is how many bytes it may store.
	Quota int64
	// CA, CAKey, PeerCA and PeerCAKey are the authorities of those that it joins, each the name of a file or the PEM text itself.
	CA, CAKey, PeerCA, PeerCAKey string
}

// Open reports whether other hosts can reach the embedded etcd.
func (e EmbeddedConfig) Open() bool {
	host, _, err := net.SplitHostPort(e.Listen)
	if e.Listen == "" || err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}

// LogConfig is where a daemon's own log goes.
type LogConfig struct {
	File     string
	MaxBytes int64 // 0 never rotates
	Backups  int
	Level    string // debug, info, warn or error
}

// ControllerConfig is [distsuperd].
type ControllerConfig struct {
	ID string
	// HTTP is where distsuperd listens; HTTPGiven is false when that is only the default.
	HTTP        string
	HTTPGiven   bool
	ElectionTTL int // seconds
	Settle      time.Duration
	MaxHold     time.Duration
	StartPace   int // starts that a machine is given at a time
	StateDir    string
	Log         LogConfig
}

// AgentConfig is [distsuperagent].
type AgentConfig struct {
	Machine      string
	Addresses    []string // empty: those of the host's interfaces
	Labels       map[string]string
	MaxProcesses int
	// HTTP is where the agent's HTTPS listens; HTTPGiven is false when that is only the
	// default, so that another port may be taken when it is busy.
	HTTP      string
	HTTPGiven bool
	StateDir  string
	Log       LogConfig
}

// CtlConfig is [distsuperctl].
type CtlConfig struct {
	Source string
	// Prompt and HistoryFile are the shell's.
	Prompt string
	// HistoryFile, and MachinesFile, is "" for the default, and NoFile.
	HistoryFile string
	// MachinesFile is where it is kept how machines are reached while etcd is silent.
	MachinesFile string
}

// NoFile is a HistoryFile or MachinesFile that is not kept.
const NoFile = "none"

// UsesEmbedded reports whether the store is distsuperd's own etcd on this host.
func (c *Config) UsesEmbedded() bool { return len(c.Etcd.Endpoints) == 0 }
