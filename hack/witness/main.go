// Witness is the sample program of the demo and the tests: it testifies in a file when it ran.
//
//	witness DIR              run until TERM, INT or HUP
//	witness -ignore-term DIR run on after TERM
//	witness -report DIR      print every copy and the most that ran at once; exit 1 when that is over 1
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/distsuper/distsuper/test/witness"
)

// began is read before main and before the flags: the first statement of the program.
var began = witness.Now()

func main() {
	report := flag.Bool("report", false, "print what the witnesses below DIR saw")
	ignore := flag.Bool("ignore-term", false, "go on after TERM")
	beat := flag.Duration("beat", 5*time.Millisecond, "time between heartbeats")
	say := flag.Bool("say", true, "print a line at the start")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: witness [-report] [-ignore-term] [-beat D] DIR")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *report, *ignore, *say, *beat); err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		os.Exit(1)
	}
}

func run(dir string, report, ignore, say bool, beat time.Duration) error {
	if report {
		return printReport(dir)
	}
	stop := make(chan os.Signal, 1)
	signals := []os.Signal{syscall.SIGINT, syscall.SIGHUP}
	if ignore {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signals = append(signals, syscall.SIGTERM)
	}
	signal.Notify(stop, signals...)
	if say {
		fmt.Printf("%s runs on %s under token %s\n", os.Getenv("DISTSUPER_PROCESS"), os.Getenv("DISTSUPER_MACHINE"), os.Getenv("DISTSUPER_TOKEN"))
	}
	return witness.Testify(dir, began, beat, stop)
}

func printReport(dir string) error {
	copies, err := witness.Read(dir)
	if err != nil {
		return err
	}
	for _, c := range copies {
		fmt.Printf("%-20s %-10s token %-6s pid %-7d %.3f .. %.3f\n", c.Process, c.Machine, c.Token, c.PID,
			float64(c.Start)/1e9, float64(c.Last)/1e9)
	}
	most, pair := witness.MaxCopies(copies)
	fmt.Printf("most copies of one process at once: %d\n", most)
	if most > 1 {
		return fmt.Errorf("%s ran twice at once: on %s and on %s", pair[0].Process, pair[0].Machine, pair[1].Machine)
	}
	return nil
}
