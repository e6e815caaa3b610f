package daemoncmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/daemon"
)

// NewStart makes the command that starts the daemon; cmd has its help.
func (d Daemon) NewStart(cmd *cobra.Command, timeout time.Duration) *cobra.Command {
	cmd.Use, cmd.Args = "start", NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := d.Load(cmd)
		if err != nil {
			return err
		}
		return d.Start(cmd, cfg, timeout)
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait until it is ready; it keeps running after that")
	return cmd
}

// NewRestart makes the command that ends the daemon with a signal, if it runs, and starts it again. It does so only when check has no
// objection, and starts the earlier one again if the new one ends nevertheless. first, where it is not nil, comes before.
func (d Daemon) NewRestart(cmd *cobra.Command, sig unix.Signal, timeout time.Duration, check Check, first func(*cobra.Command, *config.Config) error) *cobra.Command {
	cmd.Use, cmd.Args, cmd.Example = "restart", NoArgs, "  "+string(d.Name)+" restart"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := d.Load(cmd)
		if err == nil {
			err = d.Check(cfg, check)
		}
		if err != nil {
			return fmt.Errorf("nothing was restarted, and the running daemon continues: %w", err)
		}
		if first != nil {
			if err := first(cmd, cfg); err != nil {
				return err
			}
		}
		return d.Restart(cmd, cfg, sig, timeout)
	}
	cmd.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait until it has stopped, and again until it is ready")
	return cmd
}

// Restart ends the daemon and starts it again.
func (d Daemon) Restart(cmd *cobra.Command, cfg *config.Config, sig unix.Signal, timeout time.Duration) error {
	running, err := daemon.Find(d.PIDFile(cfg))
	if errors.Is(err, daemon.ErrNotRunning) {
		return d.Start(cmd, cfg, timeout)
	}
	if err != nil {
		return err
	}
	if unit := daemon.Unit(cmd.Context(), running.PID); unit != "" {
		return d.restartUnit(cmd, unit)
	}
	earlier, err := daemon.Remember(running.PID)
	if err != nil {
		return fmt.Errorf("nothing was restarted, and the running daemon continues: %w", err)
	}
	defer earlier.Close()
	if _, err := d.Stop(cmd, cfg, sig, timeout); err != nil {
		return err
	}
	err = d.Start(cmd, cfg, timeout)
	if _, there := daemon.Find(d.PIDFile(cfg)); err == nil || there == nil { // or it goes on trying
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
	defer cancel()
	_, log := d.Home(cfg)
	pid, _, again := earlier.Start(ctx, string(d.Name), log.File)
	if again != nil {
		return errors.Join(err, fmt.Errorf("the earlier one does not start any more, either: %w", again))
	}
	return fmt.Errorf("the earlier one was started again (pid %d), since the new one did not start: %w", pid, err)
}

// restartUnit has systemd restart the daemon, which is one of its services.
func (d Daemon) restartUnit(cmd *cobra.Command, unit string) error {
	systemctl := exec.CommandContext(cmd.Context(), "systemctl", "restart", unit)
	systemctl.Stdout, systemctl.Stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
	if err := systemctl.Run(); err != nil {
		return fmt.Errorf("systemctl restart %s: %w", unit, err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s restarted by systemd (%s)\n", d.Name, unit)
	return nil
}

// Status is what is known about every daemon. Its JSON field names do not change.
type Status struct {
	Running bool         `json:"running"`
	Daemon  *daemon.Info `json:"daemon,omitempty"`
	Problem string       `json:"problem,omitempty"`
}

// Find looks whether the daemon runs. asks is true when it can be asked how it is.
func (d Daemon) Find(cfg *config.Config) (s Status, asks bool, err error) {
	info, err := daemon.Find(d.PIDFile(cfg))
	if errors.Is(err, daemon.ErrNotRunning) {
		return s, false, nil
	}
	if err != nil {
		return s, false, err
	}
	s.Running, s.Daemon = true, &info
	if info.HTTP == "" {
		_, log := d.Home(cfg)
		s.Problem = "it is still starting; see " + log.File
	}
	return s, info.HTTP != "", nil
}

// Common implements Report for what embeds Status.
func (s Status) Common() Status { return s }

// print prints it for people. scheme is that of its address.
func (s Status) print(w io.Writer, name config.Program, scheme string) {
	if !s.Running {
		fmt.Fprintf(w, "%s is not running\n", name)
		return
	}
	fmt.Fprintf(w, "%s is running (pid %d)\n", name, s.Daemon.PID)
	since := ""
	if !s.Daemon.Since.IsZero() {
		since = s.Daemon.Since.Local().Format(time.DateTime)
	}
	Lines(w, "since", since, "version", s.Daemon.Version, scheme, s.Daemon.HTTP, "log", s.Daemon.Log)
}

// Report is a daemon's whole status: Status, and what only this daemon has.
type Report interface {
	Common() Status
	// Print prints for people what follows the lines that every daemon has.
	Print(w io.Writer)
}

// NewStatus makes the command that says whether the daemon runs, and how it is. scheme is that of its address.
func (d Daemon) NewStatus(cmd *cobra.Command, scheme string, look func(context.Context, *config.Config) (Report, error)) *cobra.Command {
	var asJSON bool
	cmd.Use, cmd.Args = "status", NoArgs
	cmd.Example = fmt.Sprintf("  %[1]s status\n  %[1]s status --json", d.Name)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := d.Load(cmd)
		if err != nil {
			return err
		}
		s, err := look(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		if asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
		} else {
			s.Common().print(cmd.OutOrStdout(), d.Name, scheme)
			s.Print(cmd.OutOrStdout())
		}
		if err == nil && !s.Common().Running {
			return &daemon.ExitError{Code: daemon.ExitNotRunning}
		}
		return err
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
