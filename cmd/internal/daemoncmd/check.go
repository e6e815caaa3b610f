package daemoncmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
	"github.com/distsuper/distsuper/store/seen"
)

// A Check reports why the daemon could not start with these settings, beyond what Daemon.Check looks at itself. held is the address of the one
// that runs and would end first, "" for none. That etcd is away is no reason: a daemon waits for it.
type Check func(cfg *config.Config, held string) error

// Check reports why the daemon could not start, or be restarted: what it would need of this host is tried, but for what the one that
// runs holds, which counts as free. It changes nothing.
func (d Daemon) Check(cfg *config.Config, own Check) error {
	dir, log := d.Home(cfg)
	if err := statedir.Check(dir); err != nil {
		return err
	}
	if err := daemon.CheckLog(log.File); err != nil {
		return err
	}
	held := ""
	if running, err := daemon.Find(d.PIDFile(cfg)); err == nil {
		held = running.HTTP
	} else if !errors.Is(err, daemon.ErrNotRunning) {
		return err
	}
	return own(cfg, held)
}

// NewCheck makes the command that says whether a start would succeed.
func (d Daemon) NewCheck(own Check) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "check", Short: "check whether a start or restart would succeed, and change nothing", Args: NoArgs,
		Long: `check tries what a start needs: the settings, room in the state directory, the log, the
certificates, the port. What a running daemon holds itself counts as free. etcd need not answer.
restart does the same before it stops anything.`,
		Example: fmt.Sprintf("  %[1]s check && systemctl restart %[1]s", d.Name),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := d.Load(cmd)
			if err == nil {
				err = d.Check(cfg, own)
			}
			if asJSON {
				return errors.Join(json.NewEncoder(cmd.OutOrStdout()).Encode(daemon.VerdictOf(err)), err)
			}
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s would start\n", d.Name)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// CheckStore reports why the daemon could not work with the store. An etcd that does not answer is waited for.
func CheckStore(cfg *config.Config, endpoints []string, file string) error {
	kv, err := etcd.Open(context.Background(), storeConfig(cfg, endpoints, nil))
	if err != nil {
		return daemon.Usage(err)
	}
	if _, err := seen.Open(file, clock.Real{}, nil); err != nil {
		return errors.Join(err, kv.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), schemaTime)
	defer cancel()
	err = store.CheckSchema(ctx, kv, store.NewKeys(cfg.Etcd.Prefix))
	unmade := errors.Is(err, store.ErrNoSchema) && cfg.UsesEmbedded() // distsuperd makes it
	if unmade || errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, kv.Close())
}

// schemaTime is how long etcd may take to say what it holds.
const schemaTime = 2 * time.Second

// CheckPort reports why rpc.TryListen would fail once the daemon that is reached at held, "" for none, listens no more.
func CheckPort(addr string, given bool, key, held string) error {
	l, err := rpc.TryListen(addr, given, key)
	if err == nil {
		return l.Close()
	}
	_, port, _ := net.SplitHostPort(addr)
	if _, heldPort, _ := net.SplitHostPort(held); errors.Is(err, syscall.EADDRINUSE) && port == heldPort {
		return nil
	}
	return err
}
