package chaos

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Entry is one round in the ledger.
type Entry struct {
	Date     string // and time, of its beginning
	Commit   string
	Seed     uint64
	Faults   int
	Kinds    string // of the faults, with how often each was drawn
	Bare     int    // machines without cgroups
	Starved  bool   // by hogs, or by whatever else runs on the host
	Load     float64
	Copies   int
	Overlaps int
	Excused  int // of hosts that stood still as a whole
	Wrong    int
	Ended    int // by an outage of etcd
	Late     int
	WorstGap time.Duration
	Broken   bool
	Classes  string // of bursts, with their tallies; "-" in rounds before there were outages
}

var columns = []string{"date", "commit", "seed", "faults", "bare", "starved", "load", "witnesses", "overlaps", "paused", "wrong", "ended", "late", "worst gap", "end",
	"kinds", "bursts"}

// NewEntry sums a round up. One whose processors were wanted by more than twice as many threads as there are counts as starved.
func NewEntry(began time.Time, commit string, r Result) Entry {
	e := Entry{Date: began.UTC().Format("2006-01-02T15:04:05Z"), Commit: commit, Seed: r.Plan.Seed, Faults: r.Plan.Faults(), Load: r.Load,
		Starved: r.Plan.Starved || r.Load > float64(2*runtime.NumCPU()), Copies: r.Copies, Overlaps: len(r.Verdict.Overlaps),
		Excused: len(r.Verdict.Excused), Wrong: len(r.Verdict.Wrong), Ended: len(r.Verdict.Ended), Late: len(r.Verdict.Late), WorstGap: r.Verdict.WorstGap,
		Broken: r.Broken != "", Classes: classesText(r.Verdict.Classes)}
	count := map[string]int{}
	for _, b := range r.Plan.Bursts {
		for _, f := range b.Faults {
			count[f.Kind]++
		}
	}
	e.Kinds = pairs(count, strconv.Itoa)
	for _, h := range r.Plan.Hosts {
		if h.NoCgroups {
			e.Bare++
		}
	}
	return e
}

// pairs writes a map into a cell.
func pairs[V any](m map[string]V, text func(V) string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		words = append(words, strings.ReplaceAll(name, " ", "_")+":"+text(m[name]))
	}
	return cmp.Or(strings.Join(words, " "), "-")
}

// unpair reads such a cell.
func unpair[V any](cell string, parse func(string) (V, error)) (map[string]V, error) {
	m := map[string]V{}
	if cell == "-" {
		return m, nil
	}
	for _, word := range strings.Fields(cell) {
		name, text, _ := strings.Cut(word, ":")
		v, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", word, err)
		}
		m[strings.ReplaceAll(name, "_", " ")] = v
	}
	return m, nil
}

func classesText(classes map[string]*Tally) string {
	return pairs(classes, func(t *Tally) string {
		return fmt.Sprintf("%d:%d:%d:%.2f", t.Bursts, t.Overlaps, t.Ended, t.WorstGap.Seconds())
	})
}

func parseTally(text string) (t Tally, err error) {
	gap := 0.0
	_, err = fmt.Sscanf(text, "%d:%d:%d:%f", &t.Bursts, &t.Overlaps, &t.Ended, &gap)
	t.WorstGap = time.Duration(gap * float64(time.Second))
	return t, err
}

// Verdict is what came of it, in a few words.
func (e Entry) Verdict() string {
	text := fmt.Sprintf("%d overlaps", e.Overlaps)
	if e.Excused > 0 {
		text += fmt.Sprintf(" and %d of paused hosts", e.Excused)
	}
	if e.Wrong > 0 {
		text += fmt.Sprintf(", %d other wrongs", e.Wrong)
	}
	if e.Ended > 0 {
		text += fmt.Sprintf(", %d ended by an outage", e.Ended)
	}
	text += fmt.Sprintf(", worst gap %.2f s, %d too long", e.WorstGap.Seconds(), e.Late)
	if e.Broken {
		text += ", not played to its end"
	}
	return text
}

func (e Entry) line() string {
	end := "played"
	if e.Broken {
		end = "broken"
	}
	return strings.Join([]string{e.Date, e.Commit, strconv.FormatUint(e.Seed, 10), strconv.Itoa(e.Faults), strconv.Itoa(e.Bare), strconv.FormatBool(e.Starved),
		fmt.Sprintf("%.1f", e.Load), strconv.Itoa(e.Copies), strconv.Itoa(e.Overlaps), strconv.Itoa(e.Excused), strconv.Itoa(e.Wrong), strconv.Itoa(e.Ended),
		strconv.Itoa(e.Late), fmt.Sprintf("%.2f", e.WorstGap.Seconds()), end, e.Kinds, e.Classes}, "\t")
}

func parseEntry(line string) (e Entry, err error) {
	w := strings.Split(line, "\t")
	if len(w) != len(columns) {
		return e, fmt.Errorf("a line with %d columns, not %d", len(w), len(columns))
	}
	e = Entry{Date: w[0], Commit: w[1], Kinds: w[15], Classes: w[16], Starved: w[5] == "true", Broken: w[14] != "played"}
	if e.Seed, err = strconv.ParseUint(w[2], 10, 64); err != nil {
		return e, err
	}
	for i, to := range map[int]*int{3: &e.Faults, 4: &e.Bare, 7: &e.Copies, 8: &e.Overlaps, 9: &e.Excused, 10: &e.Wrong, 11: &e.Ended, 12: &e.Late} {
		if *to, err = strconv.Atoi(w[i]); err != nil {
			return e, err
		}
	}
	gap, err := strconv.ParseFloat(w[13], 64)
	if err != nil {
		return e, err
	}
	e.WorstGap = time.Duration(gap * float64(time.Second))
	e.Load, err = strconv.ParseFloat(w[6], 64)
	return e, err
}

// ReadLedger reads all rounds of a ledger; there are none in one that is not there.
func ReadLedger(file string) (entries []Entry, err error) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if n == 0 {
			continue // the names of the columns
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, n+1, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Append adds a round to a ledger.
func Append(file string, e Entry) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	text := e.line() + "\n"
	if info, err := f.Stat(); err == nil && info.Size() == 0 {
		text = strings.Join(columns, "\t") + "\n" + text
	}
	_, err = f.WriteString(text)
	return err
}

// Commit is what is tried: the commit that changed the product last, whatever else was changed since.
func Commit(ctx context.Context) string {
	product := []string{"--", "cmd", "controller", "agentd", "store", "pkg", "go.mod"}
	out, err := exec.CommandContext(ctx, "git", append([]string{"log", "-1", "--format=%h"}, product...)...).Output()
	if err != nil {
		return "unknown"
	}
	commit := strings.TrimSpace(string(out))
	if err := exec.CommandContext(ctx, "git", append([]string{"diff", "--quiet", "HEAD"}, product...)...).Run(); err != nil {
		commit += "+" // and what is not committed
	}
	return commit
}

// Story is what was wrong about a round, for people.
func Story(r Result, dir string) string {
	var b strings.Builder
	if r.Broken != "" {
		fmt.Fprintf(&b, "  not played to its end: %s\n", r.Broken)
	}
	for _, o := range r.Verdict.Overlaps {
		fmt.Fprintf(&b, "  OVERLAP: %v\n", o)
	}
	for _, text := range slices.Concat(r.Verdict.Wrong, r.Verdict.Ended, r.Verdict.Late) {
		fmt.Fprintf(&b, "  %s\n", text)
	}
	fmt.Fprintf(&b, "  the timeline is in %s\n", filepath.Join(dir, "timeline"))
	return b.String()
}
