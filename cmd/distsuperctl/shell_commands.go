package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/ini"
)

// addShell adds the commands of the shell, and adapts the other commands to it.
func (c *ctl) addShell(root *cobra.Command) {
	root.PersistentFlags().BoolVarP(&c.interactive, "interactive", "i", c.interactive, "ask before a daemon is stopped; without a command, show prompts even without a terminal")
	root.PersistentFlags().Lookup("interactive").DefValue = "false" // what help shows, in the shell too
	root.Flags().SetInterspersed(false)                             // what stands behind an unknown command is its own
	root.AddCommand(newCompletion(c), newOpen(c), c.newExit("exit"), c.newExit("quit", "EOF"))
	root.SetHelpCommand(newHelp(c))
	for _, cmd := range root.Commands() {
		if question, ok := asking[cmd.Name()]; ok {
			cmd.RunE = c.asked(question, cmd.RunE)
		}
	}
	addCompletion(root)
	if c.shell != nil {
		for _, s := range config.Settings { // open and the start of the shell said which store it is
			if f := root.PersistentFlags().Lookup(s.Flag); f != nil {
				f.Hidden = true
			}
		}
	}
}

// asking are the commands that ask for confirmation in a shell, in supervisorctl's words.
var asking = map[string]string{
	"shutdown": "Really shut the remote supervisord process down y/N? ",
	"reload":   "Really restart the remote supervisord process y/N? ",
}

type runner = func(cmd *cobra.Command, args []string) error

// asked puts a question before a command. An answer of no is not a failure.
func (c *ctl) asked(question string, run runner) runner {
	return func(cmd *cobra.Command, args []string) error {
		if !c.interactive || len(args) > 0 { // none of them takes any: it says so
			return run(cmd, args)
		}
		if fleet := cmd.Flag("fleet"); fleet != nil && fleet.Value.String() == "true" {
			question = "Really stop the whole fleet and all its processes y/N? "
		}
		fmt.Fprint(c.supervisorOut(), question)
		answer, err := bufio.NewReader(c.in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		switch {
		case strings.HasPrefix(strings.ToLower(answer), "y"):
			return run(cmd, args)
		case cmd.Context().Err() != nil:
			return errors.New("nothing was done")
		case err != nil: // there is nobody to say more
			fmt.Fprintln(c.supervisorOut())
		}
		return nil
	}
}

// unknown is the error of a command that does not exist.
func (c *ctl) unknown(root *cobra.Command, args []string) error {
	fmt.Fprintf(c.supervisorOut(), "*** Unknown syntax: %s\n", strings.Join(args, " "))
	var names []string
	for _, cmd := range root.Commands() {
		names = append(names, cmd.Name())
	}
	hint := "help lists the commands"
	if near, ok := ini.Nearest(args[0], names); ok {
		hint = "did you mean " + near + "?"
	}
	return fmt.Errorf("there is no command %q; %s", args[0], hint)
}

func (c *ctl) newExit(name string, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use: name, Aliases: aliases, Hidden: c.shell == nil,
		Short:   "leave the shell",
		Long:    name + " leaves the shell, as Ctrl-D does. What runs goes on.",
		Example: "  " + name,
		RunE: func(*cobra.Command, []string) error {
			if c.shell == nil {
				c.printf("\n") // as supervisorctl does
				return nil
			}
			c.shell.exited = true
			return nil
		},
	}
}

func newOpen(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "open ENDPOINT|FILE",
		Short: "switch to another fleet or solo, and show its status",
		Long: `open shows the status of another fleet, and the shell then works with that one: with the fleet of a configuration file,
or with the store at some endpoints, as --config and --etcd-endpoints select it. The shell switches even if that one does
not answer now, so that no command reaches another fleet than the one you meant.`,
		Example: "  distsuperctl open /etc/distsuper.ini\n  distsuperctl open unix:///run/distsuper-solo/1a2b3c4d5e6f7a8b/store.sock\n  distsuperctl open etcd1:2379,etcd2:2379",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			flag, value, err := whatToOpen(args[0])
			if err != nil {
				return err
			}
			flags := []string{"--" + flag + "=" + value}
			if c.shell != nil {
				flags = c.shell.switchTo(flag, value)
			}
			c.cfg = nil
			root := newRoot(c)
			root.SetArgs(append(slices.Clone(flags), "status"))
			return root.ExecuteContext(cmd.Context())
		},
	}
}

// whatToOpen tells a file from endpoints, and makes it a flag. Anything else is the name of a file that is missing.
func whatToOpen(what string) (flag, value string, err error) {
	_, err = os.Stat(what)
	if err != nil && (strings.Contains(what, "://") || !slices.ContainsFunc(strings.Split(what, ","), isNoAddress)) {
		return "etcd-endpoints", what, nil
	}
	value, err = filepath.Abs(what)
	return config.ConfigFlag, value, err
}

func isNoAddress(text string) bool {
	_, _, err := ini.ParseHostPort(text)
	return err != nil || !strings.Contains(text, ":")
}

// switchTo is where the shell's lines go from now on. A file says all about its store; endpoints alone leave the rest.
func (s *shell) switchTo(flag, value string) []string {
	s.flags = slices.DeleteFunc(s.flags, func(f string) bool {
		return strings.HasPrefix(f, "--"+flag+"=") || flag == config.ConfigFlag && strings.HasPrefix(f, "--etcd-")
	})
	s.flags = append(s.flags, "--"+flag+"="+value)
	return s.flags
}

func newHelp(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|TOPIC]",
		Short: "explain a command, or print a page of the documentation",
		Long: `help lists the commands and topics. With a command's name it explains the command, with examples; with a topic it
prints that page of the documentation.`,
		Example: "  distsuperctl help\n  distsuperctl help start\n  distsuperctl help config check\n  distsuperctl help keys",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if at, _, err := cmd.Root().Find(args); err == nil {
				for _, sub := range at.Commands() {
					if sub.IsAvailableCommand() || sub.Name() == "help" {
						names = append(names, sub.Name()+"\t"+sub.Short)
					}
				}
			}
			if len(args) == 0 {
				names = append(names, topicNames()...)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runHelp(c, cmd.Root(), args) },
	}
}

// runHelp knows no failure, as supervisorctl's.
func runHelp(c *ctl, root *cobra.Command, topic []string) error {
	if len(topic) == 0 {
		if c.shell == nil {
			if err := root.Help(); err != nil {
				return err
			}
			fmt.Fprintln(c.out)
			return listTopics(c.out)
		}
		return c.listCommands(root)
	}
	cmd, rest, err := root.Find(topic)
	if err != nil || cmd == root || len(rest) > 0 {
		if found, err := c.printTopic(topic); found {
			return err
		}
		fmt.Fprintf(c.out, "*** No help on %s\n", strings.Join(topic, " "))
		return nil
	}
	cmd.InitDefaultHelpFlag() // as if --help had been given, which adds it
	return cmd.Help()
}

// listCommands is the shell's help.
func (c *ctl) listCommands(root *cobra.Command) error {
	var rows [][]string
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() || cmd.Name() == "help" {
			rows = append(rows, []string{cmd.Name(), cmd.Short})
		}
	}
	slices.SortFunc(rows, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
	if err := table(c.out, []string{"COMMAND", "DOES"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(c.out, "\n\"help COMMAND\" explains one; Tab completes, Ctrl-C ends what runs, Ctrl-D leaves.")
	fmt.Fprintln(c.out)
	return listTopics(c.out)
}
