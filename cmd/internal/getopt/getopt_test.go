package getopt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var flags = []Flag{{Short: "n", Long: "nodaemon"}, {Short: "c", Long: "configuration", HasValue: true}, {Short: "l", Long: "logfile", HasValue: true},
	{Long: "logfile_backups", HasValue: true}, {Short: "?"}}

// The answers are those of Python's getopt.
func TestCommandLinesAreReadAsPythonReadsThem(t *testing.T) {
	for _, c := range []struct{ args, given, rest, err string }{
		{args: "-n -c x", given: "-n= -c=x"},
		{args: "-nc x", given: "-n= -c=x"},
		{args: "-ncx", given: "-n= -c=x"},
		{args: "--configuration=x --nod", given: "--configuration=x --nodaemon="},
		{args: "--conf x", given: "--configuration=x"},
		{args: "--logfile x", given: "--logfile=x"}, // the whole name of one, and the beginning of another
		{args: "-? a -n", given: "-?=", rest: "a -n"},
		{args: "-n -- -n", given: "-n=", rest: "-n"},
		{args: "-n - -n", given: "-n=", rest: "- -n"},
		{args: "--log x", err: "option --log not a unique prefix"},
		{args: "--bogus", err: "option --bogus not recognized"},
		{args: "-x", err: "option -x not recognized"},
		{args: "-c", err: "option -c requires argument"},
		{args: "--conf", err: "option --configuration requires argument"},
		{args: "--nodaemon=1", err: "option --nodaemon must not have an argument"},
	} {
		given, rest, err := Parse(strings.Fields(c.args), flags)
		var got []string
		for _, g := range given {
			got = append(got, g.Spelled+"="+g.Value)
		}
		if text := fmt.Sprint(err); !slices.Equal(got, strings.Fields(c.given)) || strings.Join(rest, " ") != c.rest || c.err != "" && text != c.err || c.err == "" && err != nil {
			t.Errorf("%q: %q, rest %q, %v; want %q, %q, %q", c.args, got, rest, err, c.given, c.rest, c.err)
		}
	}
}
