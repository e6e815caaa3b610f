package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/daemon"
)

func newPidproxy() *cobra.Command {
	return &cobra.Command{
		Use:   "pidproxy PIDFILE COMMAND [ARG]...",
		Short: "run a command, and pass signals to the process whose pid is in a file",
		Long: `pidproxy replaces supervisor's pidproxy: it runs a command, and passes TERM, HUP, INT, USR1, USR2 and QUIT to the process
whose pid is in PIDFILE, or to the command while the file has none. After TERM, INT and QUIT it ends when that process has
ended, because distsuper kills what a program leaves behind. Otherwise it ends as its command does.`,
		Example:            "  distsuperd pidproxy /run/mysqld/mysqld.pid /usr/bin/mysqld_safe",
		DisableFlagParsing: true, // they are the command's
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
				return cmd.Help()
			}
			if len(args) < 2 {
				return daemon.Usage(fmt.Errorf("pidproxy needs a pid file and a command; write %s", cmd.UseLine()))
			}
			code, err := proxy(args[0], args[1:])
			return errors.Join(err, exit(code))
		},
	}
}

// proxy runs a command until it has ended, or until the process has ended to which a stop signal was passed on. It returns the
// exit code.
func proxy(pidfile string, command []string) (code int, err error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended, gone := make(chan int, 1), make(chan struct{})
	go func() {
		_ = cmd.Wait() // its ProcessState has everything
		ended <- exitCode(cmd.ProcessState)
	}()
	stopping := false
	for {
		select {
		case code := <-ended:
			if !stopping {
				return code, nil
			}
		case <-gone:
			return 0, nil
		case s := <-signals:
			sig := s.(unix.Signal)
			fd, err := openPidfile(pidfile)
			if err != nil {
				fmt.Fprintf(os.Stderr, "pidproxy: %v; the command itself gets %s\n", err, unix.SignalName(sig))
				_ = cmd.Process.Signal(sig) // it may have ended
				continue
			}
			_ = unix.PidfdSendSignal(fd, sig, nil, 0) // likewise
			if stopping || !slices.Contains([]unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGQUIT}, sig) {
				unix.Close(fd)
				continue
			}
			stopping = true
			go func() {
				await(fd)
				close(gone)
			}()
		}
	}
}

// openPidfile opens the process whose pid is in a file.
func openPidfile(pidfile string) (fd int, err error) {
	text, err := os.ReadFile(pidfile)
	if err != nil {
		return -1, fmt.Errorf("read the pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 0 {
		return -1, fmt.Errorf("there is no pid in %s", pidfile)
	}
	if fd, err = unix.PidfdOpen(pid, 0); err != nil {
		return -1, fmt.Errorf("there is no process %d, which %s names", pid, pidfile)
	}
	return fd, nil
}

// await returns when a process has ended.
func await(fd int) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || err != nil && err != unix.EINTR {
			return
		}
	}
}

// exitCode is that of a command, as a shell tells it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
