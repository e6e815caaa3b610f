package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sum is what a table says of some kinds of faults.
type sum struct {
	faults   [2]int // on a host with time, and on a starved one
	bursts   int    // in which it was alone
	worst    [2]time.Duration
	overlaps int // of these bursts
	ended    [2]int
}

// sums sums rounds up by class. Rounds of which no classes are known do not count.
func sums(entries []Entry) (map[string]*sum, error) {
	all := map[string]*sum{Several: {}}
	for name := range kinds {
		all[name] = &sum{}
	}
	of := func(name string) *sum {
		if all[name] == nil {
			all[name] = &sum{} // a kind of former times
		}
		return all[name]
	}
	for _, e := range entries {
		if e.Classes == "-" {
			continue
		}
		i := 0
		if e.Starved {
			i = 1
		}
		drawn, err := unpair(e.Kinds, strconv.Atoi)
		if err != nil {
			return nil, err
		}
		classes, err := unpair(e.Classes, parseTally)
		if err != nil {
			return nil, err
		}
		for name, n := range drawn {
			of(name).faults[i] += n
		}
		for name, t := range classes {
			s := of(name)
			s.bursts += t.Bursts
			s.overlaps += t.Overlaps
			s.ended[i] += t.Ended
			s.worst[i] = max(s.worst[i], t.WorstGap)
		}
	}
	return all, nil
}

func (s *sum) add(o *sum) {
	for i := range s.faults {
		s.faults[i] += o.faults[i]
		s.worst[i] = max(s.worst[i], o.worst[i])
		s.ended[i] += o.ended[i]
	}
	s.bursts, s.overlaps = s.bursts+o.bursts, s.overlaps+o.overlaps
}

// promised is within what time a process runs again after a class of bursts, at a touch_timeout.
func promised(class string, touchTimeout int) time.Duration {
	if k, ok := kinds[class]; ok && k.survived {
		return Bound(k.costs, touchTimeout)
	}
	return CalmBound(touchTimeout)
}

// KindsTable says of each kind of fault what is promised and what came of it.
func KindsTable(entries []Entry) (string, error) {
	all, err := sums(entries)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| fault | faults | on a starved host | bursts of it | overlaps | ended in an outage | promised gap, `touch_timeout` 2 and 5 | worst gap | worst, starved |\n" +
		"|---|---|---|---|---|---|---|---|---|\n")
	for _, name := range append(slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(n string) bool { return n == Several }), Several) {
		s, faults, label := all[name], [2]string{}, "`"+name+"`"
		for i := range faults {
			faults[i] = strconv.Itoa(s.faults[i])
			if name == Several {
				faults[i], label = "", name
			}
		}
		ended := ""
		if kinds[name].family == outages {
			ended = strconv.Itoa(s.ended[0] + s.ended[1])
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %s | %s and %s | %s | %s |\n", label, faults[0], faults[1], s.bursts, s.overlaps, ended,
			seconds(promised(name, 2)), seconds(promised(name, 5)), seconds(s.worst[0]), seconds(s.worst[1]))
	}
	return b.String(), nil
}

// FamiliesTable is KindsTable in short: one row for each family of faults.
func FamiliesTable(entries []Entry) (string, error) {
	all, err := sums(entries)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| fault | number | overlaps | gap promised, s | worst | worst, starved |\n|---|---|---|---|---|---|\n")
	row := func(label, promise string, faults string, s *sum, worst [2]string) {
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s | %s |\n", label, faults, s.overlaps, promise, worst[0], worst[1])
	}
	gaps := func(s *sum) [2]string { return [2]string{bareSeconds(s.worst[0]), bareSeconds(s.worst[1])} }
	for _, f := range []family{killed, stopped, hosts, packets, members, disks, outages} {
		total, most := &sum{}, time.Duration(0)
		for _, name := range slices.Sorted(maps.Keys(kinds)) {
			if kinds[name].family == f {
				total.add(all[name])
				most = max(most, promised(name, 5))
			}
		}
		promise, worst := bareSeconds(most), gaps(total)
		if f == outages {
			promise, worst = "nothing ends", [2]string{fmt.Sprintf("%d ended", total.ended[0]), fmt.Sprintf("%d ended", total.ended[1])}
		}
		row(string(f), promise, strconv.Itoa(total.faults[0]+total.faults[1]), total, worst)
	}
	row(Several, bareSeconds(CalmBound(5)), "-", all[Several], gaps(all[Several]))
	return b.String(), nil
}

// CommitsTable says of each commit that was tried what came of its rounds.
func CommitsTable(entries []Entry) string {
	type total struct {
		from                                           string
		rounds, faults, starved, witnesses             int
		overlaps, excused, wrong, ended, late, notHeld int
		worst                                          [2]time.Duration
	}
	var order []string
	all := map[string]*total{}
	for _, e := range entries {
		t := all[e.Commit]
		if t == nil {
			t = &total{from: e.Date[:min(10, len(e.Date))]}
			all[e.Commit], order = t, append(order, e.Commit)
		}
		t.rounds, t.faults, t.witnesses = t.rounds+1, t.faults+e.Faults, t.witnesses+e.Copies
		t.overlaps, t.excused, t.wrong, t.ended, t.late = t.overlaps+e.Overlaps, t.excused+e.Excused, t.wrong+e.Wrong, t.ended+e.Ended, t.late+e.Late
		i := 0
		if e.Starved {
			i = 1
			t.starved++
		}
		if e.Broken {
			t.notHeld++
		}
		t.worst[i] = max(t.worst[i], e.WorstGap)
	}
	var b strings.Builder
	b.WriteString("| commit | since | rounds | starved | faults | processes that testified | overlaps | of paused hosts | other wrongs | ended in an outage | too late | " +
		"broken off | worst gap | worst, starved |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, commit := range order {
		t := all[commit]
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", commit, t.from, t.rounds, t.starved, t.faults, t.witnesses, t.overlaps,
			t.excused, t.wrong, t.ended, t.late, t.notHeld, seconds(t.worst[0]), seconds(t.worst[1]))
	}
	return b.String()
}

// seconds writes a time with the digits that matter; none is a dash.
func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return bareSeconds(d) + " s"
}

// bareSeconds is seconds below a header that names the unit.
func bareSeconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64)
}
