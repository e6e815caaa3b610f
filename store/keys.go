package store

import (
	"fmt"
	"net/url"
	"strings"
)

// DefaultPrefix is the root of the key space unless [etcd] prefix names another.
const DefaultPrefix = "/distsuper/"

// Kind says what a key holds.
type Kind int

const (
	KindOther          Kind = iota // not one of ours, or of a newer layout
	KindSchema                     // schema
	KindLoad                       // loads/<source>: the record of a load that is not complete
	KindProgram                    // programs/<program>
	KindIntent                     // intents/<process>
	KindInfo                       // machines/<m>/info
	KindAlive                      // machines/<m>/alive
	KindCordon                     // machines/<m>/cordon
	KindDead                       // machines/<m>/dead
	KindLosses                     // machines/<m>/losses
	KindTrouble                    // machines/<m>/trouble
	KindSeen                       // machines/<m>/seen
	KindPlacement                  // machines/<m>/placements/<process>
	KindTouch                      // machines/<m>/touch/<process>
	KindStatus                     // machines/<m>/status/<process>
	KindHeld                       // machines/<m>/held/<process>
	KindOwner                      // owners/<process>
	KindHistory                    // history/<subject>/<id>
	KindController                 // controllers/<id>
	KindPublicKey                  // keys/public
	KindSigningKey                 // keys/signing
	KindControllerSeen             // seen/<controller>
	KindRestoring                  // restoring
	KindLeader                     // leader
	KindVoter                      // voters/<member>
)

// Name is a parsed key. Machine and ID are empty where the kind has none; ID is the program,
// process, controller, source or history subject.
type Name struct {
	Kind    Kind
	Machine string
	ID      string
	Sub     string // the entry of a history subject
}

// Keys builds and parses every key under one prefix. Names are path-escaped, so any name
// makes one segment and comes back as it was.
type Keys struct{ prefix string }

// NewKeys takes a prefix that begins and ends with "/"; missing slashes are added. "" is DefaultPrefix, "/" the
// whole store.
func NewKeys(prefix string) Keys {
	if prefix == "" {
		return Keys{prefix: DefaultPrefix}
	}
	prefix = "/" + strings.Trim(prefix, "/") + "/"
	if prefix == "//" {
		prefix = "/"
	}
	return Keys{prefix: prefix}
}

// escape keeps ":" readable, as in "group:name".
func escape(name string) string { return strings.ReplaceAll(url.PathEscape(name), "%3A", ":") }

// Root is the prefix of everything.
func (k Keys) Root() string { return k.prefix }

func (k Keys) Schema() string                  { return k.prefix + "schema" }
func (k Keys) Loads() string                   { return k.prefix + "loads/" }
func (k Keys) Load(source string) string       { return k.Loads() + escape(source) }
func (k Keys) Programs() string                { return k.prefix + "programs/" }
func (k Keys) Program(name string) string      { return k.Programs() + escape(name) }
func (k Keys) Intents() string                 { return k.prefix + "intents/" }
func (k Keys) Intent(proc string) string       { return k.Intents() + escape(proc) }
func (k Keys) Owners() string                  { return k.prefix + "owners/" }
func (k Keys) Owner(proc string) string        { return k.Owners() + escape(proc) }
func (k Keys) Controllers() string             { return k.prefix + "controllers/" }
func (k Keys) Controller(id string) string     { return k.Controllers() + escape(id) }
func (k Keys) PublicKey() string               { return k.prefix + "keys/public" }
func (k Keys) Leader() string                  { return k.prefix + "leader" }
func (k Keys) SigningKey() string              { return k.prefix + "keys/signing" }
func (k Keys) Restoring() string               { return k.prefix + "restoring" }
func (k Keys) ControllersSeen() string         { return k.prefix + "seen/" }
func (k Keys) ControllerSeen(id string) string { return k.ControllersSeen() + escape(id) }
func (k Keys) Voter(member string) string      { return k.prefix + "voters/" + escape(member) }
func (k Keys) Election() string                { return k.prefix + "election" }

// State is the range of what a view is made of: intents, machines, owners and programs, and between them keys/, leader and
// loads/.
func (k Keys) State() Span { return Span{From: k.Intents(), End: Below(k.Programs()).End} }

func (k Keys) Machines() string             { return k.prefix + "machines/" }
func (k Keys) Machine(m string) string      { return k.Machines() + escape(m) + "/" }
func (k Keys) Info(m string) string         { return k.Machine(m) + "info" }
func (k Keys) Alive(m string) string        { return k.Machine(m) + "alive" }
func (k Keys) Cordon(m string) string       { return k.Machine(m) + "cordon" }
func (k Keys) Dead(m string) string         { return k.Machine(m) + "dead" }
func (k Keys) Losses(m string) string       { return k.Machine(m) + "losses" }
func (k Keys) Trouble(m string) string      { return k.Machine(m) + "trouble" }
func (k Keys) Seen(m string) string         { return k.Machine(m) + "seen" }
func (k Keys) Helds(m string) string        { return k.Machine(m) + "held/" }
func (k Keys) Held(m, p string) string      { return k.Helds(m) + escape(p) }
func (k Keys) Placements(m string) string   { return k.Machine(m) + "placements/" }
func (k Keys) Touches(m string) string      { return k.Machine(m) + "touch/" }
func (k Keys) Statuses(m string) string     { return k.Machine(m) + "status/" }
func (k Keys) Placement(m, p string) string { return k.Placements(m) + escape(p) }
func (k Keys) Touch(m, p string) string     { return k.Touches(m) + escape(p) }
func (k Keys) Status(m, p string) string    { return k.Statuses(m) + escape(p) }

func (k Keys) Histories() string                              { return k.prefix + "history/" }
func (k Keys) History(subject Subject) string                 { return k.Histories() + escape(string(subject)) + "/" }
func (k Keys) HistoryEntry(subject Subject, id string) string { return k.History(subject) + escape(id) }

var simple = map[string]Kind{
	"programs": KindProgram, "intents": KindIntent, "owners": KindOwner,
	"controllers": KindController, "loads": KindLoad, "seen": KindControllerSeen, "voters": KindVoter,
}

var ofMachine = map[string]Kind{
	"info": KindInfo, "alive": KindAlive, "cordon": KindCordon, "dead": KindDead, "losses": KindLosses, "trouble": KindTrouble,
	"seen": KindSeen, "held": KindHeld, "placements": KindPlacement, "touch": KindTouch, "status": KindStatus,
}

// Of builds the key that Parse reads as a name, "" for one of KindOther.
func (k Keys) Of(n Name) string {
	switch n.Kind {
	case KindSchema:
		return k.Schema()
	case KindLoad:
		return k.Load(n.ID)
	case KindProgram:
		return k.Program(n.ID)
	case KindIntent:
		return k.Intent(n.ID)
	case KindOwner:
		return k.Owner(n.ID)
	case KindController:
		return k.Controller(n.ID)
	case KindRestoring:
		return k.Restoring()
	case KindControllerSeen:
		return k.ControllerSeen(n.ID)
	case KindVoter:
		return k.Voter(n.ID)
	case KindPublicKey:
		return k.PublicKey()
	case KindSigningKey:
		return k.SigningKey()
	case KindLeader:
		return k.Leader()
	case KindHistory:
		return k.HistoryEntry(Subject(n.ID), n.Sub)
	}
	return k.ofMachine(n)
}

func (k Keys) ofMachine(n Name) string {
	switch n.Kind {
	case KindInfo:
		return k.Info(n.Machine)
	case KindAlive:
		return k.Alive(n.Machine)
	case KindCordon:
		return k.Cordon(n.Machine)
	case KindDead:
		return k.Dead(n.Machine)
	case KindLosses:
		return k.Losses(n.Machine)
	case KindTrouble:
		return k.Trouble(n.Machine)
	case KindSeen:
		return k.Seen(n.Machine)
	case KindHeld:
		return k.Held(n.Machine, n.ID)
	case KindPlacement:
		return k.Placement(n.Machine, n.ID)
	case KindTouch:
		return k.Touch(n.Machine, n.ID)
	case KindStatus:
		return k.Status(n.Machine, n.ID)
	}
	return ""
}

// Parse is the inverse of the builders. A key outside the prefix is an error; one below it that
// this version does not know is KindOther.
func (k Keys) Parse(key string) (Name, error) {
	rest, ok := strings.CutPrefix(key, k.prefix)
	if !ok {
		return Name{}, fmt.Errorf("key %q is not below %q", key, k.prefix)
	}
	parts := strings.Split(rest, "/")
	for i, p := range parts {
		name, err := url.PathUnescape(p)
		if err != nil {
			return Name{}, fmt.Errorf("key %q: %w", key, err)
		}
		parts[i] = name
	}
	return parse(parts), nil
}

func parse(parts []string) Name {
	switch {
	case len(parts) == 1 && parts[0] == "schema":
		return Name{Kind: KindSchema}
	case len(parts) == 1 && parts[0] == "restoring":
		return Name{Kind: KindRestoring}
	case len(parts) == 1 && parts[0] == "leader":
		return Name{Kind: KindLeader}
	case len(parts) == 2 && parts[0] == "keys" && parts[1] == "public":
		return Name{Kind: KindPublicKey}
	case len(parts) == 2 && parts[0] == "keys" && parts[1] == "signing":
		return Name{Kind: KindSigningKey}
	case len(parts) == 2 && simple[parts[0]] != KindOther:
		return Name{Kind: simple[parts[0]], ID: parts[1]}
	case len(parts) == 3 && parts[0] == "history":
		return Name{Kind: KindHistory, ID: parts[1], Sub: parts[2]}
	case len(parts) == 3 && parts[0] == "machines" && ofMachine[parts[2]] < KindPlacement:
		return Name{Kind: ofMachine[parts[2]], Machine: parts[1]}
	case len(parts) == 4 && parts[0] == "machines" && ofMachine[parts[2]] >= KindPlacement:
		return Name{Kind: ofMachine[parts[2]], Machine: parts[1], ID: parts[3]}
	}
	return Name{Kind: KindOther}
}
