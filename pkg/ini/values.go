package ini

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseBool reads yes, true, on, 1, no, false, off and 0 in any case.
func ParseBool(s string) (bool, error) {
	if b, ok := truth(s); ok {
		return b, nil
	}
	return false, fmt.Errorf("not a boolean: %q; write true, yes, on or 1, or false, no, off or 0", s)
}

func truth(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "yes", "true", "on", "1":
		return true, true
	case "no", "false", "off", "0":
		return false, true
	}
	return false, false
}

// ParseInt reads a whole number as Python's int does: white space around it, a
// sign, leading zeros and single underscores between digits are fine.
func ParseInt(s string) (int, error) {
	n, err := parseInteger(s, 10)
	if err != nil || n > math.MaxInt || n < math.MinInt {
		return 0, fmt.Errorf("not a whole number: %q; write digits, as in 10", s)
	}
	return int(n), nil
}

func parseInteger(s string, base int) (int64, error) {
	digits := trim(s)
	for i := range digits {
		if digits[i] == '_' && (i == 0 || i == len(digits)-1 || !isDigit(digits[i-1]) || !isDigit(digits[i+1])) {
			return 0, strconv.ErrSyntax
		}
	}
	return strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), base, 64)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// sizes are the suffixes of byte sizes, the largest first.
var sizes = []struct {
	suffix string
	bytes  int64
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}}

// ParseBytes reads a whole number of bytes, or of KB, MB or GB (multiples of
// 1024, in any case, white space before them allowed). Negative sizes pass, as
// in supervisor.
func ParseBytes(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, size := range sizes {
		at := len(s) - len(size.suffix)
		if at >= 0 && strings.EqualFold(s[at:], size.suffix) {
			number, unit = s[:at], size.bytes
		}
	}
	n, err := parseInteger(number, 10)
	if err != nil || n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return 0, fmt.Errorf("not a size in bytes: %q; write a whole number, alone or with KB, MB or GB, as in 50MB", s)
	}
	return n * unit, nil
}

// ParseOctal reads a file mode or umask: 022, 22 or 0o22, up to 7777. Python
// takes negative numbers as well, which mean nothing here.
func ParseOctal(s string) (int, error) {
	digits := trim(s)
	if len(digits) > 2 && strings.EqualFold(digits[:2], "0o") {
		digits = strings.TrimPrefix(digits[2:], "_")
	}
	n, err := parseInteger(digits, 8)
	if err != nil || strings.HasPrefix(digits, "+") || strings.HasPrefix(digits, "-") || n > 0o7777 {
		return 0, fmt.Errorf("not an octal number: %q; write digits from 0 to 7, as in 022", s)
	}
	return int(n), nil
}

// ParseExitCodes reads a list of numbers from 0 to 255, separated by commas. An
// empty list is fine.
func ParseExitCodes(s string) ([]int, error) {
	var codes []int
	if s == "" {
		return codes, nil
	}
	for part := range strings.SplitSeq(s, ",") {
		code, err := ParseInt(part)
		if err != nil || code < 0 || code > 255 {
			return nil, fmt.Errorf("not a list of exit codes: %q; write numbers from 0 to 255, as in 0,2", s)
		}
		codes = append(codes, code)
	}
	return codes, nil
}

// ParseList splits at commas and trims each part. Parts may be empty; the list
// of an empty text is.
func ParseList(s string) []string {
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = trim(parts[i])
	}
	return parts
}

// ParseHostPort reads 9001, :9001, *:9001 and host:9001. The host is in lower
// case, and empty when every interface is meant. An IPv6 address stands in
// brackets, which are taken off.
func ParseHostPort(s string) (host string, port int, err error) {
	host, number := "", s
	if colon := strings.LastIndexByte(s, ':'); colon >= 0 {
		host, number = strings.ToLower(s[:colon]), s[colon+1:]
	}
	port, err = ParseInt(number)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("not an address: %q; write a port from 1 to 65535, alone or as in *:9001 or host:9001", s)
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	switch {
	case host == "*":
		return "", port, nil
	case bracketed != closed, strings.Contains(host, ":") && !bracketed:
		return "", 0, fmt.Errorf("not an address: %q; an IPv6 address stands in brackets, as in [::1]:9001", s)
	}
	return inner, port, nil
}
