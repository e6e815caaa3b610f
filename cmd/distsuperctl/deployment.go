package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/control"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/store/etcd"
)

// deployment is what a command speaks to: a fleet with its etcd, or one distsuperd solo, of which everything looks as with
// supervisorctl. It is chosen where the settings are known; commands ask it for what differs, and never which one it is.
type deployment interface {
	// storeConfig says how the store is reached.
	storeConfig() (etcd.Config, error)
	// storeName is what the store is for people.
	storeName() string
	// usesOwnEtcd reports whether the store is an etcd of distsuperd's own, which has to run on this host.
	usesOwnEtcd() bool
	// ownEtcd reports whether it is one, on this host or others.
	ownEtcd() bool
	// explain adds to an error of the store what it means, and what to check.
	explain(ctx context.Context, err error) error

	// control is how commands are carried out.
	control() control.Options
	// oneMachine reports whether there is only one machine, which need not be named.
	oneMachine() bool
	// printFault prints a result that is a fault, with a text about it.
	printFault(name, fault, text string)

	// programsToLoad reads the programs that are to be loaded, and opens the store. With strict a warning is an error.
	programsToLoad(cmd *cobra.Command, strict bool) ([]api.Program, error)
	// wanted reads which programs the configuration asks for as it stands at this moment. The store is open. A file that is refused is a *refusedError.
	wanted(ctx context.Context, strict bool) ([]api.Program, error)

	// shutdown ends the daemons and their processes.
	shutdown(ctx context.Context, o shutdownOptions) error
	// unanswered adds to the error of a daemon that gives no answer what to do about it. What a daemon answered is left as it is.
	unanswered(p *peer, err error) error
	// restarted names a daemon that was restarted.
	restarted(d rpc.Daemon, id string) string
	// notStanding is what is wrong with a daemon that restarts and stands for no election meanwhile; nil is nothing.
	notStanding() error
	// gone is why a daemon that restarts, and does not answer, never will; nil while it may.
	gone(d rpc.Daemon) error
}

// choose says what the settings lead to.
func (c *ctl) choose() deployment {
	if endpoint, runs := soloEndpoint(c.cfg); runs {
		return &soloDeployment{c, endpoint}
	}
	return &fleetDeployment{c}
}

// soloEndpoint is where the distsuperd solo answers to which a configuration leads.
func soloEndpoint(cfg *config.Config) (endpoint string, runs bool) {
	if cfg.UsesEmbedded() {
		return config.SoloEndpoint(cfg.File)
	}
	if e := cfg.Etcd.Endpoints; len(e) == 1 && isSoloEndpoint(e[0]) {
		return e[0], true
	}
	return "", false
}

// configuredStore is the store as the settings have it.
func (c *ctl) configuredStore() etcd.Config {
	e := c.cfg.Etcd
	return etcd.Config{Endpoints: e.Endpoints, Username: e.Username, Password: e.Password, CA: e.CA, Cert: e.Cert, Key: e.Key}
}
