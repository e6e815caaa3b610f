package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/store"
	"github.com/distsuper/distsuper/store/embedded"
)

func newInit(c *ctl) *cobra.Command {
	cmd := &cobra.Command{
		Use: "init", Short: "write a configuration, or create the key space",
		Long:    "init config writes a distsuper.ini; init db creates the key space in etcd.",
		Example: "  distsuperctl init config .\n  distsuperctl init db",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usage(errors.New("init what? write init config or init db"))
		},
	}
	cmd.AddCommand(newInitConfig(c), newInitDB(c))
	return cmd
}

type initConfigOptions struct {
	force, join bool
	out, voter  string
}

func (o *initConfigOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite an existing file")
	cmd.Flags().BoolVar(&o.join, "join", false, "print the file with which another machine joins this fleet, certificates included")
	cmd.Flags().StringVar(&o.voter, "voter", "", "with --join: for a host that is to be a member of distsuperd's own etcd, at this `ADDRESS`")
	cmd.Flags().StringVar(&o.out, "out", "", "with --join: write it to `FILE`, readable by its owner only")
}

func newInitConfig(c *ctl) *cobra.Command {
	var o initConfigOptions
	cmd := &cobra.Command{
		Use:   "config [DIR]",
		Short: "write a commented distsuper.ini, or print one with which machines join",
		Long: `init config writes DIR/distsuper.ini, with every setting, its default, and a program to try.

With --join it prints the file that another machine needs to join: the endpoints of etcd, and the credentials. Whoever
has this file can change everything: treat it like a private key. If distsuperd runs its own etcd, that must be
reachable from other machines: [embedded-etcd] listen = HOST:2379.

With --voter ADDRESS it is for a host that is to be a member of that etcd, too: distsuperd there joins it at ADDRESS, port 2379 for
clients unless another is given, and the next one for members. The first host needs [embedded-etcd] peer_listen for that. With three
members, etcd survives the loss of any one. The second has a copy only, and no vote, until there is a third. This file has the keys
of etcd's authorities in it: only an owner of the whole fleet may see it.`,
		Example: "  distsuperctl init config .\n  distsuperctl init config --join --out m2.ini\n  distsuperctl init config --join --voter 10.0.0.2 --out d2.ini",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.join {
				if err := c.settings(cmd); err != nil {
					return err
				}
				return runJoin(c, o)
			}
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return runInitConfig(c, o, dir)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runInitConfig(c *ctl, o initConfigOptions, dir string) error {
	if o.voter != "" {
		return usage(errors.New("--voter goes with --join"))
	}
	if o.out != "" {
		return usage(errors.New("--out goes with --join; otherwise name the directory"))
	}
	name := filepath.Join(dir, config.FileName)
	if err := writeNew(name, config.Template(), o.force); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, map[string]string{"file": name})
	}
	c.printf("wrote %s; next: distsuperd start, distsuperagent start, distsuperctl load, distsuperctl start test\n", name)
	return nil
}

// writeNew writes a file that only its owner may read. Without force it never replaces one; with it, neither a link nor wider
// permissions stay.
func writeNew(name, text string, force bool) error {
	if _, err := os.Lstat(name); err == nil && !force {
		return fmt.Errorf("%s already exists; --force overwrites it", name)
	}
	_, err := writeWhole(name, force, func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	return err
}

func runJoin(c *ctl, o initConfigOptions) error {
	text, next, err := "", "distsuperagent start", error(nil)
	if o.voter == "" {
		text, err = joinText(c.cfg)
	} else {
		next = "distsuperd start"
		text, err = voterText(c.cfg, o.voter)
	}
	if err != nil {
		return err
	}
	if o.out == "" {
		_, err = fmt.Fprint(c.out, text)
		return err
	}
	if err := writeNew(o.out, text, o.force); err != nil {
		return err
	}
	if c.json {
		return printJSON(c.out, map[string]string{"file": o.out})
	}
	c.printf("wrote %s; copy it to the other machine as distsuper.ini and run %s there\n", o.out, next)
	return nil
}

// joinText is the ini of another machine.
func joinText(cfg *config.Config) (string, error) {
	e := cfg.Etcd
	if cfg.UsesEmbedded() {
		info, err := embedded.Join(cfg.Controller.StateDir)
		if err != nil {
			return "", err
		}
		e.Endpoints, e.CA, e.Cert, e.Key = info.Endpoints, info.CA, info.Cert, info.Key
	}
	var b strings.Builder
	b.WriteString("; The key in here opens the whole fleet: keep this file private.\n[etcd]\n")
	fmt.Fprintf(&b, "endpoints = %s\n", strings.Join(e.Endpoints, ","))
	if e.Prefix != store.DefaultPrefix {
		fmt.Fprintf(&b, "prefix = %s\n", escapeIni(e.Prefix))
	}
	for _, s := range []struct{ key, value string }{{"username", e.Username}, {"password", e.Password}} {
		if s.value != "" {
			fmt.Fprintf(&b, "%s = %s\n", s.key, escapeIni(s.value))
		}
	}
	for _, s := range []struct{ key, value string }{{"ca", e.CA}, {"cert", e.Cert}, {"key", e.Key}} {
		if err := writePEM(&b, s.key, s.value); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// writePEM writes a setting that is a file's name or its text as the text; nothing for "".
func writePEM(b *strings.Builder, key, value string) error {
	text, err := config.PEM(value)
	if err != nil {
		return fmt.Errorf("read a certificate for the other machine: %w", err)
	}
	if text = strings.TrimSpace(text); text != "" {
		fmt.Fprintf(b, "%s =\n    %s\n", key, strings.ReplaceAll(text, "\n", "\n    "))
	}
	return nil
}

// voterText is the ini of a host that is to be a member of distsuperd's own etcd.
func voterText(cfg *config.Config, address string) (string, error) {
	if !cfg.UsesEmbedded() {
		return "", usage(errors.New("--voter is for distsuperd's own etcd, and [etcd] endpoints name another one: add its members by etcdctl"))
	}
	listen, peer, err := voterAddresses(address)
	if err != nil {
		return "", usage(err)
	}
	info, a, err := embedded.JoinAsMember(cfg.Controller.StateDir)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("; The keys in here open the whole fleet, and make new keys for it: keep this file private.\n[embedded-etcd]\n")
	fmt.Fprintf(&b, "listen = %s\npeer_listen = %s\npeers = %s\n", listen, peer, strings.Join(info.Endpoints, ","))
	for _, s := range []struct{ key, value string }{{"ca", a.CA}, {"ca_key", a.CAKey}, {"peer_ca", a.PeerCA}, {"peer_ca_key", a.PeerCAKey}} {
		if err := writePEM(&b, s.key, s.value); err != nil {
			return "", err
		}
	}
	if cfg.Etcd.Prefix != store.DefaultPrefix {
		fmt.Fprintf(&b, "[etcd]\nprefix = %s\n", escapeIni(cfg.Etcd.Prefix))
	}
	return b.String(), nil
}

// voterAddresses are those of a member at an address, for clients and for members.
func voterAddresses(address string) (listen, peer string, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		host, text = strings.Trim(address, "[]"), "2379"
	}
	port, err := strconv.Atoi(text)
	if ip := net.ParseIP(host); host == "" || strings.ContainsAny(host, " /") || ip == nil && strings.Contains(host, ":") || ip != nil && ip.IsUnspecified() ||
		err != nil || port < 1 || port > 65534 {
		return "", "", fmt.Errorf("--voter %s: write the address at which the others reach that host, such as 10.0.0.2 or 10.0.0.2:2379", address)
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), net.JoinHostPort(host, strconv.Itoa(port+1)), nil
}

func escapeIni(text string) string { return strings.ReplaceAll(text, "%", "%%") }

type initDBOptions struct {
	drop, afterRestore, yes bool
	off                     []string
}

func (o *initDBOptions) AddFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.drop, "drop", false, "delete everything below the prefix first; refused while a machine is live or may hold a process")
	cmd.Flags().BoolVar(&o.afterRestore, "after-restore", false, "accept an etcd that was restored, wiped or exchanged, so that every daemon goes on with it")
	cmd.Flags().StringSliceVar(&o.off, "off", nil, "with --after-restore: these machines do not answer, and you have made sure that they are off")
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
}

func newInitDB(c *ctl) *cobra.Command {
	var o initDBOptions
	cmd := &cobra.Command{
		Use:   "db",
		Short: "create the key space in etcd; safe to repeat",
		Long: `init db creates the key space below [etcd] prefix: its schema and the signing key of the cluster. If no endpoint is
configured, it starts distsuperd's own etcd unless that runs already.

With --after-restore it leads out of the state in which every daemon refuses etcd, since it was restored from a snapshot,
wiped, or exchanged for another. It waits for the machines to say what they run, shows what becomes of it, and asks. What
runs goes on, if a program in etcd asks for it; what no machine runs is placed again; and tokens go on above all that were
ever given. Then every daemon goes on by itself. Load the programs first if etcd has lost them: distsuperctl restore or load.`,
		Example: "  distsuperctl init db\n  distsuperctl init db --drop\n  distsuperctl init db --after-restore",

		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.ensureEtcd(cmd); err != nil {
				return err
			}
			if err := c.connect(cmd); err != nil {
				return err
			}
			return runInitDB(cmd.Context(), c, o)
		},
	}
	o.AddFlags(cmd)
	return cmd
}

func runInitDB(ctx context.Context, c *ctl, o initDBOptions) error {
	root := c.keys.Root()
	switch {
	case o.drop && o.afterRestore:
		return usage(errors.New("--drop and --after-restore do not go together: what is dropped needs no acceptance"))
	case len(o.off) > 0 && !o.afterRestore:
		return usage(errors.New("--off goes with --after-restore"))
	}
	if o.drop {
		if err := c.checkUnused(ctx); err != nil {
			return err
		}
		if err := c.confirm(o.yes, "Delete everything below "+root+", all programs and histories with it?"); err != nil {
			return fmt.Errorf("init db --drop: %w", err)
		}
		if err := store.Drop(ctx, c.kv, c.keys); err != nil {
			return err
		}
	}
	created, err := store.Init(ctx, c.kv, c.keys, c.who)
	if err != nil {
		return err
	}
	if o.afterRestore {
		plan, err := c.accept(ctx, acceptOptions{off: o.off, yes: o.yes})
		if err == nil && c.json {
			err = printJSON(c.out, map[string]any{"prefix": root, "created": created, "accepted": plan})
		}
		return err
	}
	switch {
	case c.json:
		return printJSON(c.out, map[string]any{"prefix": root, "created": created, "dropped": o.drop})
	case created && o.drop:
		c.printf("dropped and created the key space at %s\n", root)
	case created:
		c.printf("created the key space at %s\n", root)
	default:
		c.printf("the key space at %s is there already\n", root)
	}
	return c.warnOfRefusals(ctx)
}

// checkUnused says who uses the key space before anybody is asked whether to drop it; Drop itself makes sure.
func (c *ctl) checkUnused(ctx context.Context) error {
	snap, err := c.client.Snapshot(ctx)
	if err != nil {
		return err
	}
	var used store.InUseError
	for _, m := range snap.Machines() {
		if m.Alive != nil {
			used.Machines = append(used.Machines, m.Name)
		}
		for _, process := range m.Touches() {
			used.Touches = append(used.Touches, process+" on "+m.Name)
		}
	}
	if len(used.Machines)+len(used.Touches) > 0 {
		return fmt.Errorf("init db --drop: %w", &used)
	}
	for _, m := range snap.Machines() { // that may go on without a touch: kept, or by promise of controllers who forget it with the rest
		if names := snap.MayHold(m.Name); len(names) > 0 {
			return fmt.Errorf("init db --drop: machine %s is silent and may still run %s; when it is off, run distsuperctl machines remove --dead %s",
				m.Name, strings.Join(names, ", "), m.Name)
		}
	}
	return nil
}

// ensureEtcd starts distsuperd's own etcd where no endpoint is configured and it does not run.
func (c *ctl) ensureEtcd(cmd *cobra.Command) error {
	if c.client != nil {
		return nil // a test brought the store
	}
	if err := c.settings(cmd); err != nil {
		return err
	}
	if !c.choose().usesOwnEtcd() || embedded.Running(c.cfg.Controller.StateDir) {
		return nil
	}
	if several, err := embedded.Several(c.cfg.Controller.StateDir, c.cfg.Embedded.Peers); several || err != nil {
		return err // distsuperd asks the other members first whether it may start
	}
	c.warnf("no etcd endpoint is configured and distsuperd's own etcd does not run: starting it")
	return startEtcd(cmd.Context(), c.cfg)
}
