// Command distsuperagent runs the processes of one machine. Its child, the keeper, is their parent: it outlives the
// agent, so that an agent can be restarted or upgraded without one of them noticing.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
)

var self = daemoncmd.Daemon{
	Name:   config.Agent,
	Home:   func(c *config.Config) (string, config.LogConfig) { return c.Agent.StateDir, c.Agent.Log },
	Adjust: givenName, Busy: busy,
}

const long = `distsuperagent runs the processes that distsuperd places on this machine. They are children
of the keeper, a separate process that the agent starts, so they do not notice when the
agent is stopped, restarted or upgraded.

Signals: TERM and INT stop the agent and leave the processes to the keeper; USR1 stops and
releases the processes first (stop --drain); HUP reloads the settings; USR2 reopens all
logs, including those of the processes.`

const example = `  distsuperagent start
  distsuperagent stop --drain
  distsuperagent status --json`

func main() {
	// The guardian reads no settings and must be there before the keeper starts anything.
	if len(os.Args) > 1 && os.Args[1] == guardianCommand {
		os.Exit(guardian.Main())
	}
	os.Exit(self.Execute(newRoot()))
}

func newRoot() *cobra.Command {
	root := self.Root("runs the processes of this machine", long, example)
	root.AddCommand(
		withName(self.NewStart(&cobra.Command{
			Short: "start the agent in the background, and its keeper if none runs",
			Long: `start starts the agent in the background. It returns when the agent has joined the fleet, or
says why it has not. The agent takes over the processes that the keeper of this machine runs.`,
			Example: "  distsuperagent start\n  distsuperagent start -c /etc/distsuper.ini --labels zone=a\n  distsuperagent start --as m7",
		}, 30*time.Second)),
		newStop(),
		self.NewRestart(&cobra.Command{
			Short: "stop the agent and start it again; processes do not notice",
			Long: `restart stops the agent, if it runs, and starts it again. Processes do not notice. If the program's file
has changed, the keeper goes on as the new one, too (see upgrade). It first checks that the new
agent could start (check) and that the new keeper could take over; if not, the running ones continue.
An agent that systemd started is restarted by systemd.`,
		}, unix.SIGTERM, 30*time.Second, check, replaceChangedKeeper),
		newUpgrade(),
		self.NewCheck(check),
		newStatus(), newTail(), newLog(),
		withName(self.NewRun(&cobra.Command{Short: "run the agent in the foreground"}, newServer)),
		newKeeper())
	return root
}
