// Command distsuperctl is the command line of distsuper: it says what should run, and shows what does. It writes
// what is wanted into etcd, and reads the state of the fleet from there; the logs of processes come from the agents.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/version"
	"github.com/distsuper/distsuper/pkg/visible"
	"github.com/distsuper/distsuper/store"
)

const long = `distsuperctl says what should run on the fleet, and shows what does.

A NAME is a process: group:name, or just name if both are equal. "group:*" (or "group:")
is a whole group, "all" is everything, and * ? [abc] match within names.

"distsuperctl help TOPIC" prints a page of the documentation; "distsuperctl help" lists the topics.

Without a command, distsuperctl is a shell: it shows the status and runs the commands that you type, or that come
from a pipe. On a terminal it has a history and completion. It exits with 0 whatever the commands did.`

const example = `  distsuperctl init config . && distsuperd start && distsuperagent start
  distsuperctl load
  distsuperctl start test
  distsuperctl status -w
  distsuperctl tail -f test`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	c := newCtl(os.Stdin, os.Stdout, os.Stderr)
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	c.interrupts = interrupts
	code := execute(ctx, c, os.Args[1:])
	stop()
	os.Exit(code)
}

// execute runs one command line, or the shell when it has no command, and returns the exit code.
func execute(ctx context.Context, c *ctl, args []string) int {
	typed := newInput(c.in)
	code := c.once(ctx, typed, args)
	if c.shell != nil {
		code = c.shell.run(ctx, typed)
	}
	if err := c.close(); err != nil && code == exitOK {
		code = c.printError(err)
	}
	return code
}

// once runs one command line, until it is done or Ctrl-C is pressed, and returns its exit code. What it reads of what is
// typed is its own for as long.
func (c *ctl) once(ctx context.Context, typed *input, args []string) int {
	ctx, stop := c.interruptible(ctx)
	c.in = &commandInput{ctx: ctx, typed: typed}
	c.away, c.etcd = nil, nil
	defer func() {
		stop()
		typed.settle()
	}()
	recorder, stopRecording := c.recordOutput()
	defer stopRecording()
	root := newRoot(c)
	c.json = c.json || slices.Contains(args, "--json") // a flag that is wrong hides those behind it
	root.SetArgs(tailNumber(normalizeArgs(root, args)))
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if ctx.Err() == nil {
		err = c.deployment.explain(ctx, err)
		c.remember(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = errors.New("interrupted; what was asked for goes on")
	}
	return c.printError(recorder.conclude(err, c.json))
}

// printError says what went wrong, and returns the exit code for it.
func (c *ctl) printError(err error) int {
	if err != nil && err.Error() != "" {
		io.WriteString(c.err, visible.Text(fmt.Sprintf("distsuperctl: %v\n", err)))
	}
	return exitCode(err)
}

func newRoot(c *ctl) *cobra.Command {
	root := &cobra.Command{
		Use: "distsuperctl", Short: "the command line of distsuper", Long: long, Example: example,
		Version:      version.String(),
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return c.unknown(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.shell == nil {
				if err := c.legacy.applyFirst(c, cmd); err != nil {
					return err
				}
				c.shell = newShell(c, cmd.Flags())
			}
			return nil
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetHelpTemplate(root.HelpTemplate() + exitHelp)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(fmt.Errorf("%w; see %s --help", err, cmd.CommandPath()))
	})
	config.AddFlags(root.PersistentFlags(), config.Ctl)
	c.legacy = legacyFlags{}
	c.legacy.AddFlags(root.PersistentFlags())
	root.PersistentFlags().BoolVar(&c.json, "json", c.json, "print one JSON document with stable field names, even for errors; help and logs stay as they are")
	root.AddCommand(newInit(c), newLoad(c), newRemove(c), newStart(c), newStop(c), newRestart(c), newStatus(c), newTail(c),
		newMachines(c), newCordon(c), newUncordon(c), newDrain(c), newMove(c), newRebalance(c), newWhy(c), newHistory(c),
		newShow(c), newConfig(c), newBackup(c), newRestore(c), newControllers(c), newMembers(c), newDefrag(c), newVersion(c),
		newAdd(c), newAvail(c), newClear(c), newFg(c), newMaintail(c), newPid(c), newReload(c), newReread(c), newShutdown(c),
		newSignal(c), newUpdate(c))
	c.addVerify(root)
	c.addShell(root)
	return root
}

var isNumber = regexp.MustCompile(`^-[0-9]+$`)

// tailNumber turns the -N of "tail -N NAME" and "maintail -N" into a flag that the flag library knows.
func tailNumber(args []string) []string {
	out := slices.Clone(args)
	tails := false
	for i, a := range out {
		tails = tails || a == "tail" || a == "maintail"
		if tails && isNumber.MatchString(a) {
			out[i] = "--bytes=" + a[1:]
		}
	}
	return out
}

// usageArgs marks a complaint about arguments as wrong usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usage(fmt.Errorf("%w; write %s", err, cmd.UseLine()))
		}
		return nil
	}
}

// exitError is an error with an exit code of its own; without Err the code is the whole answer.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usage(err error) error { return &exitError{code: exitUsage, err: err} }

// failed makes an exit code an error, nil for 0.
func failed(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case errors.Is(err, store.ErrUnavailable):
		return exitUnreachable
	case errors.Is(err, store.ErrSchema):
		return exitVersion
	}
	return exitGeneric
}

// Exit codes, which are supervisorctl's. In a command about several processes the last one that fails sets the
// code, and success never resets it.
const (
	exitOK          = 0 // also: already started on start, not running on stop
	exitGeneric     = 1 // a bad name, a missing or unusable command, wrong arguments, a timeout, anything else
	exitUsage       = 2 // wrong flags or configuration; start without a name or of an unknown group
	exitDead        = 3 // status: a process that is shown is STOPPED, EXITED, FATAL or UNKNOWN
	exitUnreachable = 4 // etcd does not answer; status: an unknown name, or nobody runs the file
	exitVersion     = 5 // the key space is of another version
	exitNotRunning  = 7 // start and restart: spawn error or abnormal termination; signal and pid of what does not run; no solo runs
)

const exitHelp = `
Exit codes:
  0  success; also for start of a running process, and stop of a stopped one
  1  failure: a bad name, a missing command, wrong arguments, a timeout; the reason is printed
  2  wrong flags or configuration; start without a name, or of an unknown group
  3  status: a process that is shown is STOPPED, EXITED, FATAL or UNKNOWN
  4  etcd does not answer; status: an unknown name, or no distsuperd solo runs the file
  5  the key space has another version
  7  start, restart: the process could not be spawned, or ended before it was RUNNING; signal, pid: it does not run;
     no distsuperd solo runs the file
`
