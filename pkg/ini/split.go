package ini

import (
	"slices"
	"strings"
)

// Split splits a command into its arguments as Python's shlex.split does: white
// space separates, quotes and backslashes join, and nothing else is special. It
// fails with "No closing quotation" or "No escaped character".
func Split(command string) ([]string, error) {
	l := lexer{atoms: atomsOf(command), bare: func(atom) bool { return true }}
	var args []string
	for {
		t, ok, err := l.next()
		if err != nil || !ok {
			return args, err
		}
		args = append(args, t.text)
	}
}

// ShellMetacharacters returns what in a command only a shell would understand,
// each once, in order: | & ; > < $( and the backquote where no quote or
// backslash protects them, and cd as the first word. Commands run without a
// shell, so a command with any of them is probably not what was meant.
func ShellMetacharacters(command string) []string {
	var found []string
	add := func(s string) {
		if !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	if words := strings.Fields(command); len(words) > 1 && words[0] == "cd" {
		add("cd")
	}
	var quote byte
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte("|&;<>`", c) >= 0:
			add(string(c))
		case strings.HasPrefix(command[i:], "$("):
			add("$(")
		}
	}
	return found
}
