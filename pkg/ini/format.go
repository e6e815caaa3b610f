package ini

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatBytes returns a size as ParseBytes reads it, in the largest unit that
// divides it: 52428800 is 50MB.
func FormatBytes(n int64) string {
	for _, size := range sizes {
		if n != 0 && n%size.bytes == 0 {
			return strconv.FormatInt(n/size.bytes, 10) + size.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}

// FormatEnvironment returns the text that reads as e: by ParseEnvironmentTemplate when names and
// values are templates. It can be
// the value of an option, whatever the values hold; to stand there, the text of
// an environment without templates goes through EscapePercent. A carriage return
// or NUL cannot be written and is an error, as is a name that cannot be one.
func FormatEnvironment(e Environment) (string, error) {
	var parts []string
	for _, v := range e {
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") || strings.Contains(v.Value, "\x00") {
			return "", fmt.Errorf("environment: %q=%q cannot be written: a name is not empty and has no =, and nothing has a NUL", v.Name, v.Value)
		}
		parts = append(parts, formatName(v.Name)+"="+quote(v.Value))
	}
	text, err := FormatCommand(strings.Join(parts, ","))
	if err != nil {
		return "", fmt.Errorf("environment: %w", err)
	}
	return text, nil
}

// formatName leaves off quotes where none are needed.
func formatName(name string) string {
	for _, a := range atomsOf(name) {
		if !isBareInEnvironment(a) {
			return quote(name)
		}
	}
	return name
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
