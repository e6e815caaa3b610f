package witness

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Role is the first argument by which a test binary or the demo becomes a witness.
const Role = "be-a-witness"

// began is read before main: close to the first instruction of the copy.
var began = now()

// Main is the program of a copy: it testifies below the directory that its last argument names until TERM, INT or
// HUP, and returns the exit status. Flags come before the directory.
func Main(args []string) int {
	flags := flag.NewFlagSet("witness", flag.ContinueOnError)
	ignore := flags.Bool("ignore-term", false, "go on after TERM")
	beat := flags.Duration("beat", 5*time.Millisecond, "time between heartbeats")
	last := flags.Duration("for", 0, "end by itself after this time; 0 never")
	exit := flags.Int("exit", 0, "exit status of an end by itself")
	tree := flags.Bool("tree", false, "have a child and a grandchild that testify, too")
	part := flags.String("part", MainPart, "which part of its tree it is")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: witness [-ignore-term] [-beat D] [-for D] [-exit N] [-tree] DIR")
		return 2
	}
	if *part == midwife {
		return relate(args, Grandchild, false)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGHUP)
	if *ignore {
		signal.Ignore(syscall.SIGTERM)
	} else {
		signal.Notify(stop, syscall.SIGTERM)
	}
	if *last > 0 {
		time.AfterFunc(*last, func() { stop <- syscall.SIGALRM })
	}
	if *tree {
		if code := family(args); code != 0 {
			return code
		}
	}
	fmt.Printf("%s runs on %s under token %s\n", os.Getenv("DISTSUPER_PROCESS"), os.Getenv("DISTSUPER_MACHINE"), os.Getenv("DISTSUPER_TOKEN"))
	sig, err := Testify(flags.Arg(0), *part, began, *beat, stop)
	if err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		return 1
	}
	if sig == syscall.SIGALRM {
		return *exit
	}
	return 0
}
