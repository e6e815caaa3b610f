package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/rpc"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

type tailOptions struct {
	follow  bool
	bytes   int64
	machine string
}

func (o *tailOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "keep printing new output, wherever the process moves")
	cmd.Flags().Int64Var(&o.bytes, "bytes", 1600, "how many of the last bytes to show; also written -N")
	cmd.Flags().StringVar(&o.machine, "machine", "", "read the log on this machine, where the process may have run before, also while etcd is silent")
}

func newTail(c *ctl) *cobra.Command {
	var o tailOptions
	cmd := &cobra.Command{
		Use:   "tail [-f] [-N] NAME [stdout|stderr]",
		Short: "show the end of a process's log, whichever machine it runs on",
		Long: `tail shows the last bytes of a process's log (1600, or N). It gets them from the agent of the machine where the process
is, or ran last; if that cannot be reached from here, through a controller.

With -f it goes on wherever the process moves. When a connection breaks it goes on exactly where it was; output that is gone by then
(rotated away, cleared) is reported on stderr.`,
		Example:           "  distsuperctl tail test\n  distsuperctl tail -f -100 web:web_1 stderr",
		ValidArgsFunction: then(c.completeProcesses, words("stdout", "stderr")),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) < 1 && (cmd.Flags().Changed("follow") || cmd.Flags().Changed("bytes")):
				return c.usageFailure(cmd, exitGeneric, "Error: tail requires process name")
			case len(args) < 1:
				return c.usageFailure(cmd, exitGeneric, "Error: too few arguments")
			case len(args) > 2:
				return c.usageFailure(cmd, exitGeneric, "Error: too many arguments")
			}
			channel := strings.ToLower(append(args, "stdout")[1])
			if channel != "stdout" && channel != "stderr" {
				return c.usageFailure(cmd, exitGeneric, "Error: bad channel "+supervisor.Quote(channel))
			}
			if err := c.openOrAsk(cmd, o.machine); err != nil {
				return err
			}
			return runTail(cmd.Context(), c, o, args[0], channel)
		},
	}
	o.AddFlags(cmd)
	// It fails only for a flag that is not there. No other flag has one: the library keeps them for ever, and a shell
	// makes every command anew for every line.
	_ = cmd.RegisterFlagCompletionFunc("machine", c.completeMachines)
	cmd.SetFlagErrorFunc(c.badArgument)
	return cmd
}

// badArgument answers a flag that is none as supervisorctl does.
func (c *ctl) badArgument(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage(err)
	}
	name := "--" + unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		name = "-" + short
	}
	return c.usageFailure(cmd, exitGeneric, "Error: bad argument "+name)
}

// place is where a log is to be read: a machine and, once the process has started there, a file.
type place struct{ machine, file string }

func runTail(ctx context.Context, c *ctl, o tailOptions, name, channel string) error {
	process, at, err := c.findLog(ctx, o, name, channel)
	if err != nil {
		return err
	}
	if o.follow {
		c.follows()
		c.warnf("==> Press Ctrl-C to exit <==")
		err = c.followLog(ctx, o, process, channel, at)
	} else {
		_, err = c.copyLog(ctx, at.machine, process, channel, logstream.Range{Last: o.bytes})
	}
	if errors.Is(err, rpc.ErrNotFound) || errors.Is(err, rpc.ErrNoLog) {
		return c.noLog(name, errors.New("there is no such log on "+at.machine))
	}
	return err
}

// findLog says of which process which log is to be read.
func (c *ctl) findLog(ctx context.Context, o tailOptions, name, channel string) (process string, at place, err error) {
	at = place{machine: o.machine}
	if c.away != nil {
		a, err := c.askMachine(ctx, o.machine)
		if err != nil {
			return "", at, err
		}
		c.warnf("%s", a.mark())
		p, err := c.one(a.processes(o.machine, time.Now()), name)
		if err != nil {
			return "", at, c.failure("%s: ERROR (no such process name)", name)
		}
		return p.Name, at, nil
	}
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return "", at, err
	}
	p, err := c.one(snap.Processes(), name)
	if err != nil {
		return "", at, c.failure("%s: ERROR (no such process name)", name)
	}
	if o.machine == "" {
		if p.Owner == nil || p.Owner.Machine == "" {
			return "", at, c.noLog(name, errors.New("it has never run"))
		}
		at = placeOf(p, channel)
		if older := snap.Elsewhere(p.Name); len(older) > 0 {
			c.warnf("%s is on %s; older output is on %s (--machine)", p.Name, at.machine, olderPlaces(older, channel))
		}
	}
	return p.Name, at, nil
}

// noLog says that there is no log to read, and on stderr why.
func (c *ctl) noLog(name string, why error) error {
	fmt.Fprintf(c.supervisorOut(), "%s: ERROR (no log file)\n", name)
	return &exitError{code: exitGeneric, err: fmt.Errorf("%s: %w", name, why)}
}

func placeOf(p *client.Process, channel string) place {
	if p == nil || p.Owner == nil {
		return place{}
	}
	at := place{machine: p.Owner.Machine}
	if p.Status != nil {
		at.file = logOf(*p.Status, channel)
	}
	return at
}

func logOf(s api.Status, channel string) string {
	if channel == "stderr" {
		return s.StderrLog
	}
	return s.StdoutLog
}

// olderPlaces lists where a process left output before.
func olderPlaces(older []client.OldStatus, channel string) string {
	var out []string
	for _, o := range older {
		out = append(out, strings.TrimSuffix(o.Machine+":"+logOf(o.Status, channel), ":"))
	}
	return strings.Join(out, ", ")
}

// followLog copies the log from where the process is, and goes on elsewhere when it moves, until it is
// interrupted. A connection that breaks is made anew and goes on where it was.
func (c *ctl) followLog(ctx context.Context, o tailOptions, name, channel string, at place) error {
	moved, ended := make(chan place, 1), make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	go func() { ended <- c.watchPlace(watching, o.machine, name, channel, at, moved) }()
	defer func() { <-ended }()
	defer stop()
	end := logstream.Range{Last: o.bytes, Follow: true}
	next, opened, warned := end, false, ""
	for ctx.Err() == nil {
		to, read, err := c.followOnce(ctx, at, name, channel, next, moved)
		opened = opened || read.opened
		switch {
		case to != nil:
			c.warnf("%s is on %s now", name, to.machine)
			at, next, warned = *to, end, ""
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, rpc.ErrNotFound) && !opened && warned == "":
			return err
		case err != nil && reason(err) != warned:
			warned = reason(err)
			c.warnf("%v; trying again", err)
		case err == nil:
			warned = ""
		}
		next = read.rest(next)
		if read.opened && next.From == nil {
			c.warnf("==> output may be missing here: the agent of %s runs an earlier version and cannot say <==", at.machine)
		}
		clock.Sleep(ctx, 500*time.Millisecond)
	}
	return nil
}

// reason is what an error says but for times, which differ from one try to the next.
func reason(err error) string {
	if nobody := new(nobodyAnswers); errors.As(err, &nobody) {
		return "nobody answers"
	}
	return err.Error()
}

// followOnce copies until the log ends, or the process is somewhere else, which it returns.
func (c *ctl) followOnce(ctx context.Context, at place, name, channel string, part logstream.Range, moved <-chan place) (*place, copied, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var read copied
	done := make(chan error, 1)
	go func() {
		var err error
		read, err = c.copyLog(ctx, at.machine, name, channel, part)
		done <- err
	}()
	select {
	case to := <-moved:
		cancel()
		<-done
		return &to, read, nil
	case err := <-done:
		return nil, read, err
	}
}

// copied is what was copied of a log.
type copied struct {
	opened bool
	start  logstream.Start
	bytes  int64
}

// rest is the part that goes on after what was copied of another. An agent of an earlier version knows no positions; what
// came meanwhile cannot be told from what was shown then, and is left out.
func (r copied) rest(part logstream.Range) logstream.Range {
	switch {
	case !r.opened:
		return part
	case r.start.File == "":
		return logstream.Range{Last: 0, Follow: true}
	}
	next := r.start.Forward(r.bytes)
	return logstream.Range{From: &next, Follow: true}
}

// watchPlace tells when a process is on another machine, or writes another file. With a machine given nothing
// is told.
func (c *ctl) watchPlace(ctx context.Context, fixed, name, channel string, last place, moved chan place) error {
	if fixed != "" {
		<-ctx.Done()
		return nil
	}
	return c.client.Watch(ctx, func(s client.Seen) error {
		if !s.Connected {
			return nil
		}
		now := placeOf(s.Process(name), channel)
		if now.machine == last.machine && (now.file == "" || last.file == "") {
			last.file = now.file + last.file
			return nil
		}
		if now.machine == "" || now == last {
			return nil
		}
		select {
		case <-moved: // only the last one counts
		default:
		}
		moved <- now
		last = now
		return nil
	})
}

// copyLog copies a part of a log to stdout, and says on stderr what is missing before it.
func (c *ctl) copyLog(ctx context.Context, machine, name, channel string, part logstream.Range) (copied, error) {
	stream, err := c.openLog(ctx, machine, name, channel, part)
	if err != nil {
		return copied{}, err
	}
	defer stream.Close()
	switch gap := stream.Gap; {
	case gap == logstream.UnknownGap:
		c.warnf("==> output is missing here: the log does not continue where the output above ends <==")
	case gap > 0:
		c.warnf("==> %d bytes of output are missing here: they were removed before they could be shown <==", gap)
	}
	n, err := io.Copy(c.out, stream)
	if ctx.Err() != nil {
		err = nil
	}
	return copied{opened: true, start: stream.Start, bytes: n}, err
}

// openLog asks the agent, and when it cannot be reached every controller in turn.
func (c *ctl) openLog(ctx context.Context, machine, name, channel string, part logstream.Range) (log *logstream.Stream, err error) {
	err = c.atMachine(ctx, machine, "the log of "+name+" cannot be read", func(agent *rpc.Client) (err error) {
		log, err = agent.Log(ctx, name, channel, part)
		return err
	})
	return log, err
}
