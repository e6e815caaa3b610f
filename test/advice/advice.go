// Package advice lists every piece of advice that a message of the product gives, with the state in which it is given and
// the test that carries it out there.
//
// Its own test reads the source and fails where a string gives advice that is in no row, where no string gives a row's advice
// any more, and where a row names a test that does not exist. The tests of the three programs parse each command with their
// own command trees.
package advice

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A Row is one piece of advice.
type Row struct {
	// Says is how it begins in the source: with its verbs, and up to where they end in a string that is put together.
	Says string
	// When is the state in which somebody reads it.
	When string
	// Run is the command line that somebody types then. It is "" for advice that is no command of ours.
	Run string
	// Tested is the test that carries it out in that state, as folder:name; trials are tests, too. Where that is impossible, or
	// is nothing but a look, Parsed says why; then the command is parsed only.
	Tested, Parsed string
}

// Parse parses the commands of one program's rows with its command tree, new for each, and returns what does not parse.
func Parse(tree func() *cobra.Command) error {
	var errs []error
	for _, row := range Rows {
		words := strings.Fields(row.Run)
		root := tree()
		if len(words) == 0 || words[0] != root.Name() {
			continue
		}
		if err := parse(root, words[1:]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", row.Run, err))
		}
	}
	return errors.Join(errs...)
}

func parse(root *cobra.Command, words []string) error {
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(words)
	switch {
	case err != nil:
		return err
	case cmd == root:
		return errors.New("there is no such command")
	case cmd.DisableFlagParsing:
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
