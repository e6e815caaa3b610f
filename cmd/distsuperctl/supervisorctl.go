package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/spec"
)

// legacyFlags are flags of supervisorctl that mean nothing here, or something else. They are accepted as far as their effect is what
// the person who wrote them wanted.
type legacyFlags struct{ server, username, password string }

// AddFlags adds the flags of supervisorctl that distsuperctl has not, hidden.
func (o *legacyFlags) AddFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.server, "serverurl", "s", "", "supervisorctl's server, which the configuration must name")
	flags.StringVarP(&o.username, "username", "u", "", "supervisorctl's user, who is not needed")
	flags.StringVarP(&o.password, "password", "p", "", "supervisorctl's password, which is not needed")
	flags.VarP(otherName{flags, "history-file"}, "history_file", "r", "supervisorctl's spelling of --history-file")
	flags.Var(otherName{flags, config.ConfigFlag}, "configuration", "supervisorctl's spelling of --config")
	for _, name := range legacyNames {
		_ = flags.MarkHidden(name) // they are there
	}
}

var legacyNames = []string{"serverurl", "username", "password", "history_file", "configuration"}

// isLegacy reports whether a flag was applied when the shell began: what is typed there is not about it.
func isLegacy(name string) bool { return slices.Contains(legacyNames, name) }

// otherName is a flag that stands for another one.
type otherName struct {
	flags *pflag.FlagSet
	name  string
}

func (o otherName) String() string         { return "" }
func (o otherName) Type() string           { return "string" }
func (o otherName) Set(value string) error { return o.flags.Set(o.name, value) }

// applyFirst applies them before a shell begins.
func (o *legacyFlags) applyFirst(c *ctl, cmd *cobra.Command) error {
	if *o == (legacyFlags{}) {
		return nil
	}
	err := c.settings(cmd)
	c.cfg = nil // read anew by each line
	return err
}

// apply sees to it that no command goes to another daemon than the one that -s names, and says what is not needed.
func (o *legacyFlags) apply(c *ctl) error {
	if o.username != "" || o.password != "" {
		c.warnf("warning: -u and -p are not used: the daemon's socket is open to its own user and to root, without a password")
		o.username, o.password = "", ""
	}
	if o.server == "" {
		return nil
	}
	if u, err := url.Parse(o.server); err != nil || u.Scheme == "" || u.Host == "" && u.Path == "" {
		return usage(fmt.Errorf("invalid value for -s '%s': value '%s' is not a URL", o.server, o.server))
	}
	options, err := readerOf(c.cfg, false)
	if err != nil {
		return err
	}
	if c.cfg.Ini != nil && spec.ServedAt(c.cfg.Ini, options, o.server) {
		return nil
	}
	what := "no configuration was found"
	if c.cfg.File != "" {
		what = c.cfg.File + " has no server there"
	}
	return usage(fmt.Errorf("-s %s: supervisor's servers do not run here, and %s; name the daemon by the file that it runs: distsuperctl -c FILE",
		o.server, what))
}

// normalizeArgs makes of a command line what supervisorctl would take it for: letters of flags may stand together, -? is -h, and
// the command and its arguments may be a single word.
func normalizeArgs(root *cobra.Command, args []string) []string {
	flags := root.PersistentFlags()
	var out []string
	for len(args) > 0 {
		word := args[0]
		long, isLong := strings.CutPrefix(word, "--")
		letters, isFlag := strings.CutPrefix(word, "-")
		var f *pflag.Flag // whose value is the next word
		switch {
		case word == "-?":
			word = "-h"
		case isLong && long != "":
			f = flags.Lookup(long) // nil for --name=value
		case isFlag && !isLong && letters != "":
			var before []string
			before, word, f = splitLetters(flags, letters)
			out = append(out, before...)
		case strings.TrimSpace(word) == "", strings.HasPrefix(word, cobra.ShellCompRequestCmd): // a completion's last word may be begun
			return slices.Concat(out, args)
		default:
			return slices.Concat(out, strings.Fields(word), dropBlankWords(args[1:]))
		}
		out, args = append(out, word), args[1:]
		if f != nil && f.Value.Type() != "bool" && len(args) > 0 {
			out, args = append(out, args[0]), args[1:]
		}
	}
	return out
}

// splitLetters takes the letters of flags apart: those before the last one, that one, and its flag when its value is the next word.
func splitLetters(flags *pflag.FlagSet, letters string) (before []string, last string, f *pflag.Flag) {
	for ; len(letters) > 1; letters = letters[1:] {
		if f := flags.ShorthandLookup(letters[:1]); f == nil || f.Value.Type() != "bool" {
			return before, "-" + letters, nil // its value is the rest
		}
		before = append(before, "-"+letters[:1])
	}
	return before, "-" + letters, flags.ShorthandLookup(letters)
}

// dropBlankWords drops words in which nothing is, as supervisorctl's joining does: an unset variable of a script is no name. What
// stands behind a flag may be its value.
func dropBlankWords(args []string) (out []string) {
	for i, word := range args {
		if strings.TrimSpace(word) != "" || i > 0 && strings.HasPrefix(args[i-1], "-") {
			out = append(out, word)
		}
	}
	return out
}
