package spec

import (
	"fmt"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
)

// Empty reports whether the plan does nothing.
func (p *Plan) Empty() bool { return len(p.Added)+len(p.Changed)+len(p.Removed) == 0 }

// Changes returns all that the plan does: removed, changed and added, so that a process which passes
// from one program to another is there when it is asked for again.
func (p *Plan) Changes() []Change {
	return append(append(append([]Change{}, p.Removed...), p.Changed...), p.Added...)
}

// Ends returns the processes whose present copies the plan ends, by a stop or a restart, if they run.
func (p *Plan) Ends() []ProcessChange {
	var out []ProcessChange
	for _, c := range p.Changes() {
		for _, proc := range c.Processes {
			if proc.Effect == EffectStops || proc.Effect == EffectRestarts {
				out = append(out, proc)
			}
		}
	}
	return out
}

// Text is the plan for people: a line for each program, with what changes and what becomes of its processes
// below it, and a line with the numbers.
func (p *Plan) Text() string {
	var b strings.Builder
	for _, list := range []struct {
		sign    string
		changes []Change
	}{{"+", p.Added}, {"~", p.Changed}, {"-", p.Removed}} {
		for _, c := range list.changes {
			fmt.Fprintf(&b, "%s %s\n", list.sign, c.Name)
			for _, k := range c.Keys {
				fmt.Fprintf(&b, "    %s\n", k.Text())
			}
			for _, line := range effects(c.Processes) {
				fmt.Fprintf(&b, "    %s\n", line)
			}
		}
	}
	b.WriteString(p.Summary() + "\n")
	return b.String()
}

// Summary is the plan in one line.
func (p *Plan) Summary() string {
	if p.Empty() {
		return fmt.Sprintf("nothing to do: %s unchanged", count(len(p.Unchanged), "program"))
	}
	return fmt.Sprintf("%s added, %d changed, %d removed, %d unchanged", count(len(p.Added), "program"), len(p.Changed), len(p.Removed), len(p.Unchanged))
}

// Text is the change of a key for people.
func (k KeyChange) Text() string {
	if k.Key != "environment" {
		return fmt.Sprintf("%s: %s -> %s", k.Key, shown(k.Old), shown(k.New))
	}
	var parts []string
	for _, p := range []struct {
		what string
		vars []string
	}{{"added", k.VarsAdded}, {"changed", k.VarsChanged}, {"removed", k.VarsRemoved}} {
		if len(p.vars) > 0 {
			parts = append(parts, strings.Join(p.vars, ", ")+" "+p.what)
		}
	}
	return "environment: " + strings.Join(parts, ", ")
}

func shown(text string) string {
	if text == "" {
		return "(not set)"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// effects tells what becomes of processes, those with the same lot in one line.
func effects(processes []ProcessChange) []string {
	type lot struct {
		effect  Effect
		program string
	}
	var order []lot
	ids := map[lot][]string{}
	for _, p := range processes {
		if p.Effect == EffectNone {
			continue
		}
		l := lot{p.Effect, p.Program}
		if ids[l] == nil {
			order = append(order, l)
		}
		ids[l] = append(ids[l], p.ID)
	}
	var lines []string
	for _, l := range order {
		line := string(l.effect) + ": " + some(ids[l])
		switch {
		case l.effect == EffectPasses:
			line = fmt.Sprintf("%s one of program %s: %s", l.effect, l.program, some(ids[l]))
		case l.effect == EffectLive:
			line = "goes on, the change applies as it runs: " + some(ids[l])
		case l.effect == EffectAdds:
			line = "is added and not started (autostart = false): " + some(ids[l])
		}
		if l.program != "" && l.effect != EffectPasses {
			line += " (of program " + l.program + " before)"
		}
		lines = append(lines, line)
	}
	return lines
}

// some names the first of many.
func some(ids []string) string {
	const most = 12
	if len(ids) <= most {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), len(ids)-most)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func groupsText(groups []api.Group) string {
	var list []string
	for _, g := range groups {
		list = append(list, fmt.Sprintf("%s (priority %d)", g.Name, g.Priority))
	}
	return strings.Join(list, ", ")
}
