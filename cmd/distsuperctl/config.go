package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
)

func newConfig(c *ctl) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "explain a configuration, or print a loaded program",
		Long:    "config check explains a file without doing anything; config show prints a program as it is loaded.",
		Example: "  distsuperctl config check supervisord.conf\n  distsuperctl config show web > web.ini",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			return usage(errors.New("config what? write config check or config show"))
		},
	}
	cmd.AddCommand(newConfigCheck(c), newConfigShow(c))
	return cmd
}

func newConfigCheck(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE]",
		Short: "explain a configuration file, and change nothing",
		Long: `config check reads a file as load does (a supervisord.conf too) and explains it: its programs and their processes,
what became of each value, where the names in it are expanded, what is unknown and what was probably meant, and what
will differ from supervisor. It talks neither to etcd nor to a daemon. It shows the names of environment variables, not
their values.

It exits with 1 if load would refuse the file.`,
		Example: "  distsuperctl config check\n  distsuperctl config check /etc/supervisor/supervisord.conf --json",
		Args:    usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if err := cmd.Flags().Set(config.ConfigFlag, args[0]); err != nil {
					return usage(err)
				}
			}
			report, err := check(config.Options{Flags: cmd.Flags(), Program: config.Ctl})
			if err != nil {
				return usage(err)
			}
			return runConfigCheck(c, report)
		},
	}
}

// checked is what config check has to say, and its JSON.
type checked struct {
	File     string   `json:"file"`
	Included []string `json:"included"`
	// Refused has what load would refuse the file for; there are no programs then.
	Refused   []string         `json:"refused"`
	Programs  []checkedProgram `json:"programs"`
	Warnings  []string         `json:"warnings"`
	Notes     []string         `json:"notes"`
	Different []string         `json:"different"`
}

type checkedProgram struct {
	Kind      string      `json:"kind"` // that of its section
	Name      string      `json:"name"`
	File      string      `json:"file"`
	Line      int         `json:"line"`
	Runs      bool        `json:"runs"`
	Processes []string    `json:"processes"`
	Machines  []string    `json:"machines"`
	Keys      []spec.Fact `json:"keys"`
}

// check reads a file in every way in which load does. Its error is about what no file can be blamed for.
func check(o config.Options) (checked, error) {
	cfg, err := config.Load(o)
	if err != nil {
		file, ferr := o.Flags.GetString(config.ConfigFlag)
		if ferr != nil || file == "" && errors.Is(err, config.ErrNoFile) {
			return checked{}, err
		}
		return checked{File: file, Refused: strings.Split(err.Error(), "\n")}.filled(), nil
	}
	if cfg.File == "" {
		return checked{}, config.ErrNoFile
	}
	options, err := readerOf(cfg, false)
	if err != nil {
		return checked{}, err
	}
	out := checked{File: cfg.File, Included: cfg.Ini.Files()[1:]}
	r, err := spec.Read(cfg.Ini, options)
	if err != nil {
		out.Refused = strings.Split(err.Error(), "\n")
	}
	for _, w := range r.Warnings {
		out.Warnings = append(out.Warnings, w.String())
	}
	for _, w := range cfg.Warnings {
		if !slices.Contains(out.Warnings, w) { // both tell of unknown sections
			out.Warnings = append(out.Warnings, w)
		}
	}
	for _, n := range r.Notes {
		out.Notes = append(out.Notes, n.String())
	}
	out.programs(cfg.Ini, r)
	out.differences(cfg.Ini, r)
	return out.filled(), nil
}

// readerOf is how load reads programs.
func readerOf(cfg *config.Config, strict bool) (spec.Options, error) {
	host, err := os.Hostname()
	if err != nil {
		return spec.Options{}, fmt.Errorf("find the host name: %w", err)
	}
	environ := map[string]string{}
	for _, entry := range os.Environ() {
		if name, value, ok := strings.Cut(entry, "="); ok {
			environ[name] = value
		}
	}
	return spec.Options{Source: cfg.Ctl.Source, Environ: environ, HostNode: host, LocalMachine: cfg.Agent.Machine, Strict: strict}, nil
}

func (k *checked) programs(f *ini.File, r *spec.Result) {
	add := func(kind string, runs bool, p api.Program) {
		c := checkedProgram{Kind: kind, Name: p.Name, Runs: runs, Machines: orEmpty(p.Machines), Keys: spec.Explain(f, kind, p), Processes: []string{}}
		c.File, c.Line = spec.Place(f, kind, p.Name)
		if processes, err := spec.Processes(p); err == nil {
			for _, proc := range processes {
				c.Processes = append(c.Processes, proc.ID())
			}
		}
		k.Programs = append(k.Programs, c)
	}
	for _, p := range r.Programs {
		add("program", true, p)
	}
	for _, l := range r.Listeners {
		add("eventlistener", false, l.Program)
	}
	for _, p := range r.FastCGIs {
		add("fcgi-program", false, p.Program)
	}
}

// differences tells what of a right file is not as it is with supervisor.
func (k *checked) differences(f *ini.File, r *spec.Result) {
	for _, s := range r.Servers {
		section, _ := f.Section(s.Section)
		where := s.File
		if where == "" {
			where = fmt.Sprintf("%s:%d", orStar(s.Host), s.Port)
		}
		k.Different = append(k.Different, fmt.Sprintf("%s:%d: [%s]: nothing listens at %s in a fleet; distsuperctl needs no such server", section.File, section.Line, s.Section, where))
	}
	var anywhere []string
	for _, p := range k.Programs {
		if p.Runs && len(p.Machines) == 0 {
			anywhere = append(anywhere, p.Name)
		}
	}
	if len(anywhere) > 0 {
		k.Different = append(k.Different, "in a fleet these may run on any machine, and move when it dies; set machines to choose which: "+abbreviate(anywhere))
	}
}

func orStar(host string) string {
	if host == "" {
		return "*"
	}
	return host
}

// filled has no null in its JSON.
func (k checked) filled() checked {
	for _, list := range []*[]string{&k.Included, &k.Refused, &k.Warnings, &k.Notes, &k.Different} {
		*list = orEmpty(*list)
	}
	if k.Programs == nil {
		k.Programs = []checkedProgram{}
	}
	return k
}

func runConfigCheck(c *ctl, k checked) error {
	code := exitOK
	if len(k.Refused) > 0 {
		code = exitGeneric
	}
	if c.json {
		if err := printJSON(c.out, k); err != nil {
			return err
		}
		return failed(code)
	}
	for i, p := range k.Programs {
		if i > 0 {
			c.printf("\n")
		}
		if err := printChecked(c, p); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		title string
		lines []string
	}{{"Expanded here and now:", k.Notes}, {"Different from supervisor:", k.Different}, {"Warnings:", k.Warnings}, {"Refused:", k.Refused}} {
		if len(part.lines) > 0 {
			c.printf("\n%s\n  %s\n", part.title, strings.Join(part.lines, "\n  "))
		}
	}
	c.printf("\n%s\n", k.summary())
	return failed(code)
}

// summary is the last line.
func (k checked) summary() string {
	if len(k.Refused) > 0 {
		return fmt.Sprintf("%s would be refused: %s", cmp.Or(k.File, "the configuration that was found"), plural(len(k.Refused), "problem"))
	}
	programs, processes := 0, 0
	for _, p := range k.Programs {
		if p.Runs {
			programs++
			processes += len(p.Processes)
		}
	}
	text := fmt.Sprintf("%s: %s, %s", k.File, plural(programs, "program"), plural(processes, "process"))
	if idle := len(k.Programs) - programs; idle > 0 {
		text += fmt.Sprintf(", and %d that cannot run yet", idle)
	}
	if n := len(k.Included); n > 0 {
		text += ", with " + plural(n, "included file")
	}
	return text + ", " + plural(len(k.Warnings), "warning")
}

func printChecked(c *ctl, p checkedProgram) error {
	state := ""
	if !p.Runs {
		state = ", does not run yet"
	}
	c.printf("%s %s (%s:%d%s)\n", p.Kind, p.Name, p.File, p.Line, state)
	processes := abbreviate(p.Processes)
	if len(p.Processes) == 0 {
		processes = "none"
	}
	rows := [][]string{{"  processes", "", processes}}
	for _, f := range p.Keys {
		rows = append(rows, []string{"  " + f.Key, stands(p, f), oneLine(f.Value)})
		if f.Written != "" && f.Written != f.Value {
			rows = append(rows, []string{"", "written", oneLine(f.Written)})
		}
		if f.First != "" {
			rows = append(rows, []string{"", "in " + p.Processes[0], oneLine(f.First)})
		}
		for _, line := range expanded(f) {
			rows = append(rows, []string{"", "expanded", line})
		}
	}
	return table(c.out, rows[0], rows[1:])
}

// stands tells where a value stands.
func stands(p checkedProgram, f spec.Fact) string {
	text := fmt.Sprintf("line %d", f.Line)
	if f.File != p.File {
		text = fmt.Sprintf("%s:%d", filepath.Base(f.File), f.Line)
	}
	if f.From != "" {
		text += " in [" + f.From + "]"
	}
	return text
}

// expanded tells where the names in a value get theirs.
func expanded(f spec.Fact) []string {
	var lines []string
	for _, where := range []spec.Where{spec.WhenRead, spec.PerProcess, spec.OnMachine} {
		var names []string
		for _, e := range f.Expanded {
			if e.Where == where {
				names = append(names, e.Name)
			}
		}
		if len(names) > 0 {
			lines = append(lines, strings.Join(names, ", ")+" "+string(where))
		}
	}
	return lines
}

// oneLine shows a value that may have line breaks.
func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return fmt.Sprintf("%q", s)
	}
	return orDash(s)
}

func newConfigShow(c *ctl) *cobra.Command {
	return &cobra.Command{
		Use:   "show PROGRAM...",
		Short: "print loaded programs, in the form that load reads",
		Long: `config show prints programs as they are loaded: as sections of a file from which load makes the same programs. It
includes the values of environment variables; distsuperctl show hides them.`,
		Example:           "  distsuperctl config show web > web.ini\n  distsuperctl config show web --json",
		Args:              usageArgs(cobra.MinimumNArgs(1)),
		ValidArgsFunction: c.completePrograms,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.open(cmd); err != nil {
				return err
			}
			return runConfigShow(cmd.Context(), c, args)
		},
	}
}

func runConfigShow(ctx context.Context, c *ctl, names []string) error {
	programs := []api.Program{}
	for _, name := range names {
		p, err := c.client.Get(ctx, name)
		if err != nil {
			return err
		}
		programs = append(programs, p.Program)
	}
	if c.json {
		return printJSON(c.out, programs)
	}
	var b bytes.Buffer
	if err := spec.Write(&b, programs...); err != nil {
		return err
	}
	c.printf("%s", b.String())
	return nil
}
