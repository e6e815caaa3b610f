package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/hostid"
	"github.com/distsuper/distsuper/pkg/statedir"
)

const (
	asFlag      = "as"
	machineFlag = "machine"
)

// name is the content of machine.json: the name that --as gave this machine. A copy of the directory on another host
// carries it along, and there it does not count.
type name struct {
	Machine  string           `json:"machine"`
	Identity api.HostIdentity `json:"identity"`
}

func nameFile(cfg *config.Config) string { return filepath.Join(cfg.Agent.StateDir, "machine.json") }

// withName adds --as to a command that starts the agent.
func withName(cmd *cobra.Command) *cobra.Command {
	var as string
	cmd.Flags().StringVar(&as, asFlag, "", "name this machine NAME from now on, whatever the configuration says; for a copy of another machine")
	start := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if as != "" {
			if err := cmd.Flags().Set(machineFlag, as); err != nil {
				return err
			}
			cfg, err := self.Load(cmd)
			if err != nil {
				return err
			}
			if err := giveName(cfg); err != nil {
				return fmt.Errorf("name this machine %s: %w", as, err)
			}
		}
		return start(cmd, args)
	}
	return cmd
}

// giveName notes the machine's name for later starts.
func giveName(cfg *config.Config) error {
	id, err := hostid.Read(cfg.Agent.StateDir)
	if err != nil {
		return err
	}
	text, err := json.Marshal(name{Machine: cfg.Agent.Machine, Identity: id})
	if err != nil {
		return err
	}
	return statedir.WriteFile(nameFile(cfg), append(text, '\n'))
}

// givenName takes over the name that --as gave this machine, unless a flag names it.
func givenName(flags *pflag.FlagSet, cfg *config.Config) error {
	if f := flags.Lookup(machineFlag); f != nil && f.Changed {
		return nil
	}
	text, err := os.ReadFile(nameFile(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var n name
	if err == nil {
		err = json.Unmarshal(text, &n)
	}
	if err != nil {
		return fmt.Errorf("read the name that --as gave this machine: %w", err)
	}
	id, err := hostid.Read(cfg.Agent.StateDir)
	if err == nil && n.Machine != "" && id.DeathOf(n.Identity) != api.ProofNone {
		cfg.Agent.Machine = n.Machine
	}
	return err
}
