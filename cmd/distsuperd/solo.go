package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/agentd/keeper/engine/guardian"
	"github.com/distsuper/distsuper/agentd/solo"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/version"
)

// guardianCommand is the hidden command by which the binary guards the keeper of a solo.
const guardianCommand = "guardian"

// envBackground tells a solo that it was started in the background. Processes do not inherit it.
const envBackground = "DISTSUPER_SOLO_BACKGROUND"

// envCheck has a solo say whether it could start, as daemon.Ask wants it.
const envCheck = "DISTSUPER_SOLO_CHECK"

// checkTimeout is the most that the next solo may take to say whether it could start.
const checkTimeout = 30 * time.Second

func newSolo() *cobra.Command {
	return &cobra.Command{
		Use:   "solo",
		Short: "run programs on this machine alone, as supervisord does, without etcd and agent",
		Long:  "solo is a drop-in replacement for supervisord, with its flags, its signals and its log. `distsuperd solo -h` lists them.",
		// The flags are supervisord's, read as supervisord reads them.
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			return exit(reportSolo(runSolo(args)))
		},
	}
}

func newGuardian() *cobra.Command {
	return &cobra.Command{
		Use:    guardianCommand,
		Short:  "end what a killed solo leaves; solo starts it",
		Hidden: true,
		RunE:   func(*cobra.Command, []string) error { return exit(guardian.Main()) },
	}
}

// exit is the error of a command that has printed everything but its exit code.
func exit(code int) error {
	if code == 0 {
		return nil
	}
	return &daemon.ExitError{Code: code}
}

// reportSolo prints how a solo ended, as supervisord does, and returns its exit code.
func reportSolo(err error) int {
	code := daemon.Code(err)
	switch {
	case code == daemon.ExitUsage:
		fmt.Fprintf(os.Stderr, "Error: %v\nFor help, use %s -h\n", err, solo.Program)
	case err != nil && err.Error() != "":
		fmt.Fprintf(os.Stderr, "%s: %v\n", solo.Program, err)
	}
	return code
}

// runSolo is the whole life of a solo. It must be called on the main goroutine.
func runSolo(args []string) error {
	line, err := parseSolo(args)
	switch {
	case err != nil:
		return err
	case line.help:
		fmt.Print(soloHelp())
		return nil
	case line.version:
		fmt.Println(version.String())
		return nil
	}
	background := os.Getenv(envBackground) != ""
	settings, err := solo.Load(line.file, line.flags())
	if os.Getenv(envCheck) != "" {
		if err == nil {
			err = settings.Check()
		}
		return json.NewEncoder(os.Stdout).Encode(daemon.VerdictOf(err))
	}
	if err == nil && !background {
		warnOfSearch(settings)
		if !settings.Nodaemon {
			return startInBackground(line.again(settings.File))
		}
	}
	notify := daemon.NewNotifier()
	if err == nil {
		again := append([]string{"solo"}, line.again(settings.File)...)
		err = serveSolo(solo.Options{Settings: settings, Background: background, GuardianCommand: []string{guardianCommand}, Notify: notify,
			Restart: func(env ...string) error {
				return daemon.Reexec(append([]string{os.Args[0]}, again...), append(env, notify.Environ()...)...)
			},
			Check: func(env ...string) error {
				ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
				defer cancel()
				return daemon.Ask(ctx, again, append(env, envCheck+"=1")...)
			}})
	}
	if err != nil {
		notify.Failed(err)
	}
	return err
}

func serveSolo(o solo.Options) error {
	s, err := solo.New(o)
	if err != nil {
		return err
	}
	return s.Run()
}

// startInBackground starts the daemon and returns when it runs.
func startInBackground(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, _, err := daemon.Spawn(ctx, daemon.Command{Name: solo.Program, Args: append([]string{"solo"}, args...), Log: os.DevNull,
		Env: append(os.Environ(), envBackground+"=1")})
	// What it said itself stands for the whole error.
	if said := (*daemon.ExitError)(nil); errors.As(err, &said) && said.Code == daemon.ExitUsage {
		return said
	}
	return err
}

// warnOfSearch is supervisord's warning of a file that anybody may have put there.
func warnOfSearch(s *solo.Settings) {
	if s.Searched && os.Getuid() == 0 {
		fmt.Fprintf(os.Stderr, "%s: it runs as root and searched for its configuration file in default locations (including its current "+
			"working directory), and found %s; you probably want to give a \"-c\" argument with an absolute path for improved security\n", solo.Program, s.File)
	}
}
