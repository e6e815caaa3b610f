package witness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// The parts of a tree. The grandchild has a session of its own, and its parent has ended.
const (
	MainPart   = "main"
	Child      = "child"
	Grandchild = "grandchild"

	midwife = "midwife" // starts the grandchild, and ends
)

// treeName is the environment variable by which the parts of a tree know it.
const treeName = "WITNESS_TREE"

// treeID is the tree that this process belongs to: another's, or one of its own.
func treeID() string {
	if id := os.Getenv(treeName); id != "" {
		return id
	}
	return fmt.Sprintf("%d-%d", began.Boot, os.Getpid())
}

// family starts the rest of a tree, of witnesses with the same arguments.
func family(args []string) int {
	id := treeID()
	if err := os.Setenv(treeName, id); err != nil {
		return 1
	}
	if code := relate(args, Child, false); code != 0 {
		return code
	}
	return relate(args, midwife, true)
}

// relate starts a part of the tree; one that is to end at once is waited for.
func relate(args []string, part string, ends bool) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, "witness:", err)
		return 1
	}
	before := os.Args[1 : len(os.Args)-len(args)] // by which a test binary becomes a witness
	cmd := exec.Command(self, append(before[:len(before):len(before)], partOf(args, part)...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: part == midwife}
	if ends {
		err = cmd.Run()
	} else if err = cmd.Start(); err == nil && part == Child {
		go func() { _ = cmd.Wait() }() // no zombie of it stays
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "witness: start the %s: %v\n", part, err)
		return 1
	}
	return 0
}

// partOf is the arguments of another part: without -tree and the part before.
func partOf(args []string, part string) []string {
	out := []string{"-part=" + part}
	for _, a := range args {
		if a != "-tree" && !strings.HasPrefix(a, "-part=") {
			out = append(out, a)
		}
	}
	return out
}
