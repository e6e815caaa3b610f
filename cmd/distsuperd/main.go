// Command distsuperd is the controller of distsuper: it places processes on machines and moves them when a
// machine dies. With no etcd endpoint configured it runs an etcd of its own, as a child that outlives it.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
)

var self = daemoncmd.Daemon{
	Name: config.Distsuperd,
	Home: func(c *config.Config) (string, config.LogConfig) { return c.Controller.StateDir, c.Controller.Log },
}

const long = `distsuperd is the controller of distsuper: it places processes on machines, and moves
them when a machine dies. Several may run, on different hosts; one of them leads.

If no [etcd] endpoints are configured, it runs an etcd of its own on this host. That etcd
keeps running when distsuperd ends, and the next distsuperd takes it over.

Signals: TERM and INT stop distsuperd, and its etcd if no machine is live; USR1 stops
distsuperd alone (restart); HUP reloads the settings; USR2 reopens the log.`

const example = `  distsuperd start
  distsuperd status --json
  distsuperd stop --all`

func main() { os.Exit(self.Execute(newRoot())) }

func newRoot() *cobra.Command {
	root := self.Root("the controller of distsuper", long, example)
	root.AddCommand(
		self.NewStart(&cobra.Command{
			Short:   "start distsuperd in the background, with its own etcd if none is configured",
			Long:    "start starts distsuperd in the background. It returns when distsuperd works, or says why it does not work.",
			Example: "  distsuperd start\n  distsuperd start -c /srv/fleet/distsuper.ini",
		}, time.Minute),
		newStop(),
		// USR1 ends it and leaves its etcd alone.
		self.NewRestart(&cobra.Command{
			Short: "stop distsuperd and start it again; its etcd and all processes keep running",
			Long: `restart stops distsuperd, if it runs, and starts it again. Its own etcd and all processes keep
running; another distsuperd takes the lead meanwhile. After an upgrade this is all that is to be done. It first checks that the new one could start (check); if not, the running one continues. One
that systemd started is restarted by systemd.`,
		}, unix.SIGUSR1, time.Minute, check, nil),
		self.NewCheck(check),
		self.NewStatus(&cobra.Command{Short: "show whether distsuperd runs, and its health"}, "http", report),
		self.NewRun(&cobra.Command{Short: "run distsuperd in the foreground"}, func(p *daemoncmd.Running) daemoncmd.Server {
			return &server{Running: p, members: make(chan struct{}, 1), opened: make(chan struct{})}
		}),
		newEtcd(), newSolo(), newPidproxy(), newGuardian())
	return root
}
