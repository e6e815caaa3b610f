package solo

import (
	"fmt"
	"slices"
	"strings"
)

// flag is one flag of the command line.
type flag struct {
	short string // a letter, or "" for none
	long  string // "" for none
	value bool   // it has one
}

// given is a flag as it was given.
type given struct {
	flag
	spelled string // as "-c" or "--configuration"
	text    string
}

// getopt reads a command line as Python's getopt does, with its messages: flags end at the first word that is none,
// long ones may be cut short as long as they are clear.
func getopt(args []string, flags []flag) (out []given, rest []string, err error) {
	for len(args) > 0 {
		word := args[0]
		switch {
		case word == "--":
			return out, args[1:], nil
		case strings.HasPrefix(word, "--"):
			out, args, err = longFlag(out, args, flags)
		case strings.HasPrefix(word, "-") && word != "-":
			out, args, err = shortFlags(out, args, flags)
		default:
			return out, args, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return out, nil, nil
}

func longFlag(out []given, args []string, flags []flag) ([]given, []string, error) {
	name, text, hasText := strings.Cut(args[0][2:], "=")
	args = args[1:]
	var found []flag
	for _, f := range flags {
		if f.long == name && name != "" {
			found = []flag{f}
			break
		}
		if f.long != "" && strings.HasPrefix(f.long, name) {
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
	case f.value && !hasText && len(args) == 0:
		return nil, nil, fmt.Errorf("option --%s requires argument", f.long)
	case f.value && !hasText:
		text, args = args[0], args[1:]
	case !f.value && hasText:
		return nil, nil, fmt.Errorf("option --%s must not have an argument", f.long)
	}
	return append(out, given{f, "--" + f.long, text}), args, nil
}

func shortFlags(out []given, args []string, flags []flag) ([]given, []string, error) {
	letters := args[0][1:]
	args = args[1:]
	for letters != "" {
		letter := letters[:1]
		letters = letters[1:]
		i := slices.IndexFunc(flags, func(f flag) bool { return f.short == letter })
		if i < 0 {
			return nil, nil, fmt.Errorf("option -%s not recognized", letter)
		}
		text := ""
		if flags[i].value {
			if text, letters = letters, ""; text == "" {
				if len(args) == 0 {
					return nil, nil, fmt.Errorf("option -%s requires argument", letter)
				}
				text, args = args[0], args[1:]
			}
		}
		out = append(out, given{flags[i], "-" + letter, text})
	}
	return out, args, nil
}
