package plan

import (
	"net/netip"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
)

// MatchMachine reports whether a machine may run a program whose machines are sel: any of
// its elements is the machine's name, one of its addresses, or one of its labels as
// "key=value". An empty sel matches every machine, and a machine that takes all is matched by every sel.
func MatchMachine(sel []string, info api.MachineInfo) bool {
	if len(sel) == 0 || info.TakesAll {
		return true
	}
	for _, s := range sel {
		if matchOne(s, info) {
			return true
		}
	}
	return false
}

func matchOne(s string, info api.MachineInfo) bool {
	if s == info.Name {
		return true
	}
	for _, a := range info.Addresses {
		if s == a || sameAddress(s, a) {
			return true
		}
	}
	key, value, isLabel := strings.Cut(s, "=")
	if !isLabel {
		return false
	}
	have, ok := info.Labels[strings.TrimSpace(key)]
	return ok && have == strings.TrimSpace(value)
}

// sameAddress compares IP addresses by value: IPv6 has many spellings of one.
func sameAddress(a, b string) bool {
	x, err := netip.ParseAddr(a)
	if err != nil {
		return false
	}
	y, err := netip.ParseAddr(b)
	return err == nil && x.Unmap() == y.Unmap()
}
