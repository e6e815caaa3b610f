// Package daemoncmd is what the commands of distsuperd and distsuperagent have in common: they read the
// settings, start, find and stop the daemon, and report it.
package daemoncmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/version"
)

// Daemon is distsuperd or distsuperagent.
type Daemon struct {
	Name config.Program
	// Home is where its state and its log are.
	Home func(*config.Config) (stateDir string, log config.LogConfig)
	// Adjust changes settings by what the state directory says, where no flag does; nil changes none.
	Adjust func(flags *pflag.FlagSet, cfg *config.Config) error
	// Busy asks the daemon at addr, which is stopping, what it still waits for. Nil, and an answer of "", say nothing.
	Busy func(ctx context.Context, cfg *config.Config, addr string) string
}

// BackgroundFlag is the hidden flag of `run` by which start has the log written to its file.
const BackgroundFlag = "background"

// exitCodes ends the help of every command.
const exitCodes = `
Exit codes:
  0  done
  1  failed; the reason is on stderr
  2  wrong flags or configuration
  3  status: not running`

// Root makes the command to which the others are added.
func (d Daemon) Root(short, long, example string) *cobra.Command {
	root := &cobra.Command{
		Use: string(d.Name), Short: short, Long: long, Example: example,
		Version:      version.String(),
		SilenceUsage: true, SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return daemon.Usage(fmt.Errorf("there is no command %q; see %s --help", args[0], d.Name))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &daemon.ExitError{Code: daemon.ExitUsage}
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetHelpTemplate(root.HelpTemplate() + exitCodes + "\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return daemon.Usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	config.AddFlags(root.PersistentFlags(), d.Name)
	return root
}

// NoArgs refuses arguments as wrong usage.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return daemon.Usage(fmt.Errorf("%s takes no arguments, and was given %q; see its --help", cmd.CommandPath(), args))
}

// Args refuses fewer or more arguments than that as wrong usage.
func Args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		return daemon.Usage(fmt.Errorf("write %s; see its --help", cmd.UseLine()))
	}
}

// Execute runs the command line and returns the exit code.
func (d Daemon) Execute(root *cobra.Command) int {
	err := root.Execute()
	if err != nil && err.Error() != "" {
		fmt.Fprintf(os.Stderr, "%s: %v\n", d.Name, err)
	}
	return daemon.Code(err)
}

// Load reads the settings, and tells their warnings on stderr.
func (d Daemon) Load(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := d.settings(cmd)
	if err != nil {
		return nil, daemon.Usage(err)
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", d.Name, w)
	}
	return cfg, nil
}

// settings are those of flags, environment, file and state directory.
func (d Daemon) settings(cmd *cobra.Command) (*config.Config, error) {
	cfg, err := config.Load(config.Options{Flags: cmd.Flags(), Program: d.Name})
	if err == nil && d.Adjust != nil {
		err = d.Adjust(cmd.Flags(), cfg)
	}
	return cfg, err
}

// PIDFile is the daemon's.
func (d Daemon) PIDFile(cfg *config.Config) string {
	dir, _ := d.Home(cfg)
	return daemon.PIDFile(dir, string(d.Name))
}

// Start starts the daemon with the flags of cmd, and returns when it is ready.
func (d Daemon) Start(cmd *cobra.Command, cfg *config.Config, timeout time.Duration) error {
	dir, log := d.Home(cfg)
	info, err := daemon.Find(d.PIDFile(cfg))
	if err == nil {
		return &daemon.RunningError{Name: string(d.Name), Path: daemon.PIDFile(dir, string(d.Name)), PID: info.PID}
	}
	if !errors.Is(err, daemon.ErrNotRunning) {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	last := ""
	pid, message, err := daemon.Spawn(ctx, daemon.Command{
		Name: string(d.Name), Args: append([]string{"run", "--" + BackgroundFlag}, given(cmd)...), Log: log.File,
		Progress: func(text string) {
			if text != last {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", d.Name, text)
			}
			last = text
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s started (pid %d): %s\n", d.Name, pid, message)
	return nil
}

// given are the settings' flags as they stand on the command line, to be handed on.
func given(cmd *cobra.Command) []string {
	var flags []string
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			flags = append(flags, "--"+f.Name+"="+f.Value.String())
		}
	})
	return flags
}

// Stop sends sig to the daemon and waits for its end; with none running it says so and returns false.
func (d Daemon) Stop(cmd *cobra.Command, cfg *config.Config, sig unix.Signal, timeout time.Duration) (bool, error) {
	ctx, cancel := cmd.Context(), context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than --timeout %v", timeout))
	}
	defer cancel()
	before, asks, _ := d.Find(cfg) // what is wrong with the pid file, stopping it tells
	pid, err := daemon.Stop(ctx, d.PIDFile(cfg), sig, func(waited time.Duration) {
		if waited%(5*time.Second) != 0 {
			return
		}
		why := ""
		if asks && d.Busy != nil {
			asking, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			if busy := d.Busy(asking, cfg, before.Daemon.HTTP); busy != "" {
				why = ": " + busy
			}
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s: stopping since %v%s\n", d.Name, waited, why)
	})
	switch {
	case errors.Is(err, daemon.ErrNotRunning):
		fmt.Fprintf(cmd.OutOrStdout(), "%s is not running\n", d.Name)
		return false, nil
	case err != nil:
		return false, err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s stopped (pid %d)\n", d.Name, pid)
	return true, nil
}

// Lines prints facts one a line, names aligned.
func Lines(w io.Writer, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "  %-12s %s\n", pairs[i], pairs[i+1])
		}
	}
}
