// Package getopt reads a command line as Python's getopt does, with its error messages: supervisord's users have scripts that rely on
// both.
package getopt

import (
	"fmt"
	"slices"
	"strings"
)

// Flag is one flag of the command line.
type Flag struct {
	Short    string // a letter, or "" for none
	Long     string // "" for none
	HasValue bool
}

// Given is a flag as it was given.
type Given struct {
	Flag
	Spelled string // as "-c" or "--configuration"
	Value   string
}

// Parse reads args up to the first word that is no flag, and returns the words from there on as rest. Long flags may be
// abbreviated as long as they are unambiguous.
func Parse(args []string, flags []Flag) (given []Given, rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		switch {
		case word == "--":
			return given, args[1:], nil
		case strings.HasPrefix(word, "--"):
			given, args, err = parseLong(given, args, flags)
		case strings.HasPrefix(word, "-") && word != "-":
			given, args, err = parseShort(given, args, flags)
		default:
			return given, args, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return given, nil, nil
}

func parseLong(given []Given, args []string, flags []Flag) ([]Given, []string, error) {
	name, value, hasValue := strings.Cut(args[0][2:], "=")
	args = args[1:]
	var found []Flag
	for _, f := range flags {
		if f.Long == name && name != "" {
			found = []Flag{f}
			break
		}
		if f.Long != "" && strings.HasPrefix(f.Long, name) {
			found = append(found, f)
		}
	}
	switch {
	case len(found) == 0:
		return nil, nil, fmt.Errorf("option --%s not recognized", name)
	case len(found) > 1:
		return nil, nil, fmt.Errorf("option --%s not a unique prefix", name)
	}
	f := found[0]
	switch {
	case f.HasValue && !hasValue && len(args) == 0:
		return nil, nil, fmt.Errorf("option --%s requires argument", f.Long)
	case f.HasValue && !hasValue:
		value, args = args[0], args[1:]
	case !f.HasValue && hasValue:
		return nil, nil, fmt.Errorf("option --%s must not have an argument", f.Long)
	}
	return append(given, Given{f, "--" + f.Long, value}), args, nil
}

// parseShort reads one word, in which several letters may stand together.
func parseShort(given []Given, args []string, flags []Flag) ([]Given, []string, error) {
	letters := args[0][1:]
	args = args[1:]
	for letters != "" {
		letter := letters[:1]
		letters = letters[1:]
		i := slices.IndexFunc(flags, func(f Flag) bool { return f.Short == letter })
		if i < 0 {
			return nil, nil, fmt.Errorf("option -%s not recognized", letter)
		}
		value := ""
		if flags[i].HasValue {
			if value, letters = letters, ""; value == "" {
				if len(args) == 0 {
					return nil, nil, fmt.Errorf("option -%s requires argument", letter)
				}
				value, args = args[0], args[1:]
			}
		}
		given = append(given, Given{flags[i], "-" + letter, value})
	}
	return given, args, nil
}
