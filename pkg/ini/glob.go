package ini

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// glob returns the files that match pattern, sorted, in the way of Python's
// glob, which differs from filepath.Glob: wild cards match no leading dot (an
// editor's ".web.ini.swp" is no configuration), [!x] negates, a backslash is
// itself, and no pattern is malformed. Directories are left out; supervisor
// finds them and fails to read them without a word.
func glob(dir, pattern string) ([]string, error) {
	volume := filepath.VolumeName(pattern)
	rest := filepath.ToSlash(pattern[len(volume):])
	base := dir
	if filepath.IsAbs(pattern) {
		base = volume + string(filepath.Separator)
	}
	matches := []string{base}
	if strings.HasSuffix(rest, "/") {
		return nil, nil // only directories match
	}
	for _, segment := range strings.Split(rest, "/") {
		if segment != "" {
			matches = globSegment(matches, segment)
		}
	}
	matches = slices.DeleteFunc(matches, func(name string) bool {
		info, err := os.Stat(name)
		return err == nil && info.IsDir()
	})
	slices.Sort(matches)
	return matches, nil
}

// globSegment returns what matches segment in each of the directories. What is
// no directory, or cannot be read, has no matches.
func globSegment(dirs []string, segment string) []string {
	var matches []string
	for _, dir := range dirs {
		if !strings.ContainsAny(segment, "*?[") {
			if name := joinPath(dir, segment); exists(name) {
				matches = append(matches, name)
			}
			continue
		}
		entries, _ := os.ReadDir(dir)
		for _, entry := range entries {
			hidden := entry.Name()[0] == '.' && segment[0] != '.'
			if !hidden && matchName([]rune(segment), []rune(entry.Name())) {
				matches = append(matches, joinPath(dir, entry.Name()))
			}
		}
	}
	return matches
}

// joinPath keeps ".." as it is written: filepath.Join would take the "x/.." out
// of a path, which is another file when x is a symbolic link.
func joinPath(dir, name string) string {
	if dir == "." {
		return name
	}
	if os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	return dir + string(filepath.Separator) + name
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// matchName reports whether name matches a pattern of *, ?, [abc], [a-z], [!abc].
func matchName(pattern, name []rune) bool {
	for len(pattern) > 0 {
		switch pattern[0] {
		case '*':
			for i := range len(name) + 1 {
				if matchName(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		case '[':
			if set, length := bracketSet(pattern); length > 0 {
				if len(name) == 0 || !set(name[0]) {
					return false
				}
				pattern, name = pattern[length:], name[1:]
				continue
			}
		}
		if len(name) == 0 || (pattern[0] != '?' && pattern[0] != name[0]) {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}

// bracketSet reads the set at the start of pattern. Its length is 0 when no
// bracket closes it: the opening bracket then stands for itself.
func bracketSet(pattern []rune) (set func(rune) bool, length int) {
	begin := 1
	negated := len(pattern) > 1 && pattern[1] == '!'
	if negated {
		begin = 2
	}
	if begin >= len(pattern) {
		return nil, 0
	}
	// A bracket that comes first is a member, not the end.
	size := slices.Index(pattern[begin+1:], ']')
	if size < 0 {
		return nil, 0
	}
	members := pattern[begin : begin+1+size]
	return func(r rune) bool { return inSet(members, r) != negated }, begin + size + 2
}

func inSet(members []rune, r rune) bool {
	for i := 0; i < len(members); i++ {
		if i+2 < len(members) && members[i+1] == '-' {
			if members[i] <= r && r <= members[i+2] {
				return true
			}
			i += 2
			continue
		}
		if members[i] == r {
			return true
		}
	}
	return false
}
