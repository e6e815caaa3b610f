// Package witness lets a supervised process testify when it ran.
//
// A witness appends lines to a file of its own, one file a copy: its start, a heartbeat every few
// milliseconds, and its end, each with CLOCK_BOOTTIME and CLOCK_MONOTONIC_RAW, which all copies on one host share. Read and
// MaxCopies judge afterwards, from the files alone, whether two copies were ever alive at once. A
// copy that was killed without warning counts as alive from its start to its last heartbeat.
//
// A copy may be a whole tree: the process, its child, and a grandchild that has detached itself. Each of them testifies.
package witness

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Copy is the life of one copy of a process.
type Copy struct {
	Process string
	Machine string
	Token   string
	PID     int
	Part    string // of its tree
	Tree    string // tells its tree from every other
	Start   int64  // boot time, ns: its first statement
	Last    int64  // its last sign of life
	Ended   bool   // it said goodbye
	Exit    string
	// StartRaw and LastRaw are Start and Last by the other clock.
	StartRaw, LastRaw int64
}

// Testify runs as a witness, as a part of its tree, until a signal comes, which it returns, and writes below dir. began is the
// time at which the caller's first statement ran.
func Testify(dir, part string, began Instant, beat time.Duration, stop <-chan os.Signal) (os.Signal, error) {
	name := fmt.Sprintf("%d-%d.witness", began.Boot, os.Getpid())
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "start %v %s %s %s %d %s %s\n", began, orDash(os.Getenv("DISTSUPER_PROCESS")),
		orDash(os.Getenv("DISTSUPER_MACHINE")), orDash(os.Getenv("DISTSUPER_TOKEN")), os.Getpid(), part, treeID()); err != nil {
		return nil, err
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case sig := <-stop:
			_, err := fmt.Fprintf(f, "end %v %v\n", now(), sig)
			return sig, err
		case <-tick.C:
			if _, err := fmt.Fprintf(f, "beat %v\n", now()); err != nil {
				return nil, err
			}
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Read returns every copy that testified below dir, by start.
func Read(dir string) ([]Copy, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.witness"))
	if err != nil {
		return nil, err
	}
	var copies []Copy
	for _, file := range files {
		c, ok, err := readOne(file)
		if err != nil {
			return nil, err
		}
		if ok {
			copies = append(copies, c)
		}
	}
	return sorted(copies), nil
}

// readOne reads one file. One that is still empty, or ends in half a line, is of a copy that has just
// begun or was killed while it wrote: what is whole counts.
func readOne(file string) (Copy, bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return Copy{}, false, err
	}
	defer f.Close()
	var c Copy
	in := bufio.NewScanner(f)
	for in.Scan() {
		w := strings.Fields(in.Text())
		if len(w) < 3 {
			continue
		}
		at, err := strconv.ParseInt(w[1], 10, 64)
		raw, rawErr := strconv.ParseInt(w[2], 10, 64)
		if err != nil || rawErr != nil {
			continue
		}
		switch {
		case w[0] == "start" && len(w) == 9:
			pid, _ := strconv.Atoi(w[6])
			c = Copy{Process: w[3], Machine: w[4], Token: w[5], PID: pid, Part: w[7], Tree: w[8], Start: at, StartRaw: raw}
		case w[0] == "end":
			c.Ended, c.Exit = true, strings.Join(w[3:], " ")
		}
		c.Last, c.LastRaw = max(c.Last, at), max(c.LastRaw, raw)
	}
	return c, c.Start != 0, in.Err()
}

// MaxCopies is the most copies of one process that were ever alive at once, and two of them when
// that is more than one.
func MaxCopies(copies []Copy) (int, []Copy) {
	byProcess := map[string][]Copy{}
	for _, c := range copies {
		byProcess[c.Process] = append(byProcess[c.Process], c)
	}
	most, pair := 0, []Copy(nil)
	for _, list := range byProcess {
		for i, c := range list {
			n, with := 1, c
			for j, other := range list {
				if i != j && other.Start <= c.Start && other.Last >= c.Start {
					n, with = n+1, other
				}
			}
			if n > most {
				most = n
				if n > 1 {
					pair = []Copy{with, c}
				}
			}
		}
	}
	return most, pair
}

// WorstGap is the longest time for which a process that had run had no copy, before its next one began.
func WorstGap(copies []Copy) (worst time.Duration) {
	last := map[string]int64{}
	for _, c := range sorted(copies) {
		if before, ran := last[c.Process]; ran {
			worst = max(worst, time.Duration(c.Start-before))
		}
		last[c.Process] = max(last[c.Process], c.Last)
	}
	return worst
}

func sorted(copies []Copy) []Copy {
	return slices.SortedFunc(slices.Values(copies), func(a, b Copy) int { return cmp.Compare(a.Start, b.Start) })
}
