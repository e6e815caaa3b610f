package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/visible"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/etcd"
)

// ctl is what every command has: its terminal, the settings, and the store once it is open.
type ctl struct {
	// in is where lines are typed, and while a command runs what of it is the command's.
	in       io.Reader
	out, err io.Writer
	// recorder is out while a command runs; nil before and after.
	recorder *outputRecorder
	// terminal is true when somebody can be asked; colour when states are coloured.
	terminal, colour bool
	json             bool
	// interactive is true in a shell, and with -i: what ends a daemon asks first.
	interactive bool
	// interrupts tells that Ctrl-C was pressed; nil never does.
	interrupts <-chan os.Signal
	// shell is the one that was asked for; nil runs one command.
	shell  *shell
	legacy legacyFlags

	cfg *config.Config
	// partly is why cfg lacks what its file includes; nil when it is whole.
	partly error

	kv     store.KV
	keys   store.Keys
	client *client.Client
	// opened is where kv is open; nil before, and in a test that brought its own.
	opened *target
	who    string
	// away is what happened to etcd, while a machine itself is asked instead; nil is nothing.
	away error
	// etcd is how its members are; nil until the command asks them.
	etcd []store.Member
	// deployment is what the store belongs to: the fleet unless the settings lead to a distsuperd solo.
	deployment deployment
}

// target is a store and what of it is ours.
type target struct {
	store  etcd.Config
	prefix string
}

func newCtl(in io.Reader, out, err io.Writer) *ctl {
	c := &ctl{in: in, out: out, err: err, who: client.Who(),
		terminal: isTerminal(in) && isTerminal(err),
		colour:   isTerminal(out) && os.Getenv("NO_COLOR") == ""}
	c.deployment = &fleetDeployment{c}
	return c
}

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// settings reads the configuration.
func (c *ctl) settings(cmd *cobra.Command) error {
	if c.cfg != nil {
		return nil
	}
	o := config.Options{Flags: cmd.Flags(), Program: config.Ctl}
	cfg, err := config.Load(o)
	c.partly = nil
	if err != nil {
		if alone := withoutIncludes(o); alone != nil {
			c.warnf("warning: %v", err)
			cfg, c.partly, err = alone, err, nil
		}
	}
	if errors.Is(err, config.ErrNoFile) {
		if file, _, ferr := config.FindSolo("", config.Options{}); ferr == nil && isHere(file) {
			return nobodyRuns(file)
		}
	}
	if err != nil {
		return usage(err)
	}
	c.cfg, c.keys = cfg, store.NewKeys(cfg.Etcd.Prefix)
	if err := c.legacy.apply(c); err != nil {
		c.cfg = nil
		return err
	}
	return nil
}

// connect opens the store, whatever is in it. What is open stays so, and finds its way back by itself, unless the
// settings lead to another one now: a shell's can.
func (c *ctl) connect(cmd *cobra.Command) error {
	if c.client != nil && c.opened == nil {
		return nil // a test brought it
	}
	if err := c.settings(cmd); err != nil {
		return err
	}
	c.deployment = c.choose()
	sc, err := c.deployment.storeConfig()
	if err != nil {
		return err
	}
	to := &target{store: sc, prefix: c.cfg.Etcd.Prefix}
	if c.opened != nil && reflect.DeepEqual(to, c.opened) {
		return nil
	}
	if err := c.close(); err != nil {
		return err
	}
	kv, err := etcd.Connect(cmd.Context(), sc, c.keys.Schema())
	if err != nil {
		if !errors.Is(err, store.ErrUnavailable) && !errors.Is(err, store.ErrPermission) {
			return usage(err)
		}
		return err
	}
	c.kv, c.client, c.opened = kv, client.New(kv, c.keys, c.who), to
	return nil
}

// open opens the store and makes sure that we understand what is in it.
func (c *ctl) open(cmd *cobra.Command) error {
	if err := c.connect(cmd); err != nil {
		return err
	}
	return store.CheckSchema(cmd.Context(), c.kv, c.keys)
}

func (c *ctl) close() error {
	if c.opened == nil { // a test's store is the test's to close
		return nil
	}
	kv := c.kv
	c.kv, c.client, c.opened = nil, nil, nil
	return kv.Close()
}

// printf writes to people; JSON output has none of it.
func (c *ctl) printf(format string, args ...any) {
	if !c.json {
		io.WriteString(c.out, visible.Text(fmt.Sprintf(format, args...)))
	}
}

// warnf writes a remark to stderr.
func (c *ctl) warnf(format string, args ...any) {
	io.WriteString(c.err, visible.Text(fmt.Sprintf(format+"\n", args...)))
}

// confirm asks on a terminal; elsewhere --yes must have been given. It returns nil for yes.
func (c *ctl) confirm(yes bool, question string) error {
	switch {
	case yes:
		return nil
	case !c.terminal:
		return errors.New("there is no terminal to ask on; give --yes to do it")
	}
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(c.in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return errors.New("nothing was done")
}

// supervisorOut is where supervisorctl's own words go: to stdout, as there, and beside JSON to stderr.
func (c *ctl) supervisorOut() io.Writer {
	switch {
	case c.json && c.recorder != nil:
		return io.MultiWriter(c.err, &c.recorder.words)
	case c.json:
		return c.err
	}
	return c.out
}

// failure says in supervisorctl's words what failed.
func (c *ctl) failure(format string, args ...any) error {
	io.WriteString(c.supervisorOut(), visible.Text(fmt.Sprintf(format+"\n", args...)))
	return failed(exitGeneric)
}

// usageFailure says what is wrong with the arguments, in supervisorctl's words, and on stderr what to write.
func (c *ctl) usageFailure(cmd *cobra.Command, code int, text string) error {
	fmt.Fprintln(c.supervisorOut(), text)
	return &exitError{code: code, err: fmt.Errorf("write %s; see %s --help", cmd.UseLine(), cmd.CommandPath())}
}

// rejectArguments answers arguments where there are none to be given.
func (c *ctl) rejectArguments(cmd *cobra.Command) error {
	return c.usageFailure(cmd, exitGeneric, "Error: "+cmd.Name()+" accepts no arguments")
}
