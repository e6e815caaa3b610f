package solo

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/visible"
)

// refuseBesideAgent keeps the programs of the file from running twice: here, and for a fleet by this machine's agent or by the keeper
// that the agent has left behind.
func (s *Settings) refuseBesideAgent() error {
	dir := s.Config.Agent.StateDir
	// An error means that there is none, or none of ours.
	if agent, err := daemon.Find(daemon.PIDFile(dir, string(config.Agent))); err == nil && s.isOurFile(agent.Config) {
		return usagef("distsuperagent (pid %d) runs with %s as a machine of a fleet, and its programs would run twice; "+
			"end it with its processes first (distsuperagent stop --all -c %s)", agent.PID, s.File, visible.Word(s.File))
	}
	remaining := keeper.Dial(keeper.SocketPath(dir))
	defer remaining.Close()
	ctx, cancel := context.WithTimeout(context.Background(), keeperTimeout)
	defer cancel()
	hello, err := remaining.Hello(ctx)
	if err != nil || !s.isOurFile(hello.Config) {
		return nil
	}
	runs, err := remaining.Changes(ctx, 0)
	if err == nil && !slices.ContainsFunc(runs.Runs, func(r keeper.Run) bool { return !r.Done }) {
		return nil
	}
	return usagef("distsuperagent has left processes of %s running under its keeper (pid %d), and they would run twice; "+
		"end them first (distsuperagent stop --all -c %s)", s.File, hello.PID, visible.Word(s.File))
}

// keeperTimeout is how long a keeper may take to say what it runs.
const keeperTimeout = 5 * time.Second

// isOurFile reports whether a path, which may be "", leads to our configuration file.
func (s *Settings) isOurFile(path string) bool {
	theirs, err := os.Stat(path)
	if err != nil {
		return false
	}
	ours, err := os.Stat(s.File)
	return err == nil && os.SameFile(ours, theirs)
}
