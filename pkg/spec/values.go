package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
)

// errNoEffect is what the set of a key without effect answers to a value that asks for something.
var errNoEffect = errors.New("has no effect")

func boolean(field func(*api.Program) *bool) value {
	return parsed(field, ini.ParseBool, strconv.FormatBool)
}

func number(field func(*api.Program) *int) value {
	return parsed(field, ini.ParseInt, strconv.Itoa)
}

func size(field func(*api.Program) *int64) value {
	return parsed(field, ini.ParseBytes, ini.FormatBytes)
}

func logFile(field func(*api.Program) *string) value {
	return parsed(field, func(s string) (string, error) { return logName(s), nil }, formatWord)
}

// logName returns the one spelling of a log file's keywords.
func logName(s string) string {
	switch strings.ToLower(s) {
	case "", "auto":
		return api.LogAuto
	case "none", "off":
		return api.LogNone
	case "syslog":
		return logSyslog
	}
	return s
}

// logSyslog is supervisor's deprecated spelling of a log file NONE whose lines go to syslog. Normalize replaces it.
const logSyslog = "syslog"

var (
	parseBytes = ini.ParseBytes
	parseBool  = ini.ParseBool
)

func parseServerURL(s string) (string, error) {
	if strings.EqualFold(strings.TrimSpace(s), "AUTO") {
		return "", nil
	}
	return s, nil
}

func parseAutorestart(s string) (api.Autorestart, error) {
	a, err := ini.ParseAutorestart(s)
	if err != nil {
		return "", err
	}
	return api.Autorestart(a.String()), nil
}

func parseSignal(s string) (string, error) {
	signal, err := ini.ParseSignal(s)
	return signal.Name, err
}

func parseExitCodes(s string) ([]int, error) { return ini.ParseExitCodes(s) }

func parseUmask(s string) (*int, error) {
	mask, err := ini.ParseOctal(s)
	return &mask, err
}

func parseOnPartition(s string) (api.OnPartition, error) {
	p := api.OnPartition(strings.ToLower(s))
	if p != api.PartitionStop && p != api.PartitionKeep {
		return "", fmt.Errorf("neither stop nor keep: %q", s)
	}
	return p, nil
}

func parseOnStoreOutage(s string) (api.OnStoreOutage, error) {
	o := api.OnStoreOutage(strings.ToLower(s))
	if o != api.OutageHold && o != api.OutageStop {
		return "", fmt.Errorf("neither hold nor stop: %q", s)
	}
	return o, nil
}

// parseMachines leaves localhost as it is: only Read knows what it means.
func parseMachines(s string) ([]string, error) {
	list := ini.ParseList(s)
	for i, m := range list {
		if m == "" {
			return nil, fmt.Errorf("%q has an extra comma; write names, addresses or labels, as in m1,10.0.0.7,zone=a", s)
		}
		list[i] = machine(m)
	}
	return list, nil
}

// machine takes the blanks around the = of a label away.
func machine(s string) string {
	s = strings.TrimSpace(s)
	if key, value, label := strings.Cut(s, "="); label {
		return strings.TrimSpace(key) + "=" + strings.TrimSpace(value)
	}
	return s
}

func formatWord[T ~string](s T) string { return string(s) }

func formatList(list []string) string { return strings.Join(list, ",") }

func formatNumbers(numbers []int) string {
	var list []string
	for _, n := range numbers {
		list = append(list, strconv.Itoa(n))
	}
	return strings.Join(list, ",")
}

func formatUmask(mask *int) string {
	if mask == nil {
		return ""
	}
	return fmt.Sprintf("%03o", *mask)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
