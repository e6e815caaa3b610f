package spec

import (
	"cmp"
	"slices"

	"github.com/distsuper/distsuper/pkg/api"
)

// Defaults returns a program with the default of every key, and no name and no command: what a
// [program:x] section begins from, and what a program made in Go should begin from.
func Defaults() api.Program {
	var p api.Program
	for _, k := range table {
		if k.Default == "" {
			continue
		}
		if err := k.set(&p, k.Default); err != nil {
			panic("spec: default of " + k.Name + ": " + err.Error()) // a test reads them all
		}
	}
	return p
}

// Normalize returns the program in the one form in which equal programs are equal values: lists
// sorted where their order means nothing, one spelling for each word, nil for empty maps. Texts that cannot
// be empty get their default: Source (the API's), ProcessName, StopSignal, Autorestart and the log files. A negative number that supervisor takes to mean the same as 0 becomes 0.
// What is wrong stays as it is, for Validate.
func Normalize(p api.Program) api.Program {
	d := Defaults()
	fill(&p.Source, api.SourceAPI)
	fill(&p.ProcessName, d.ProcessName)
	fill(&p.StopSignal, d.StopSignal)
	fill(&p.Autorestart, d.Autorestart)
	if signal, err := parseSignal(p.StopSignal); err == nil {
		p.StopSignal = signal
	}
	for _, n := range []*int{&p.Numprocs, &p.StartSecs, &p.StartRetries, &p.StopWaitSecs, &p.Stdout.Backups, &p.Stderr.Backups} {
		*n = max(*n, 0)
	}
	normalizeLogs(&p)
	p.KillAsGroup = p.KillAsGroup || p.StopAsGroup
	p.ServerURL, _ = parseServerURL(p.ServerURL) // takes any text
	p.ExitCodes = slices.Compact(slices.Sorted(slices.Values(p.ExitCodes)))
	if p.ExitCodes == nil {
		p.ExitCodes = []int{} // "none is expected" stands as [] in the store
	}
	p.Groups = normalizeGroups(p.Groups)
	p.Machines = normalizeMachines(p.Machines)
	p.Environment = cloneOrNil(p.Environment)
	if p.Umask != nil {
		mask := *p.Umask
		p.Umask = &mask
	}
	return p
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func normalizeLogs(p *api.Program) {
	for _, l := range []*api.Log{&p.Stdout, &p.Stderr} {
		l.File = logName(l.File)
		if l.File == logSyslog {
			l.File, l.Syslog = api.LogNone, true
		}
		l.MaxBytes = max(l.MaxBytes, 0)
	}
	if p.RedirectStderr {
		p.Stderr.File = api.LogNone // supervisor: options.py, "never create an stderr logfile when redirected"
	}
}

func normalizeGroups(groups []api.Group) []api.Group {
	if len(groups) == 0 {
		return nil
	}
	groups = slices.Clone(groups)
	slices.SortStableFunc(groups, func(a, b api.Group) int { return cmp.Compare(a.Name, b.Name) })
	return groups
}

func normalizeMachines(list []string) []string {
	var out []string
	for _, m := range list {
		if m = machine(m); !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	return out
}

func cloneOrNil(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
