// Package version holds the version of distsuper that this binary is.
package version

import "runtime/debug"

// Version is set by the build: -ldflags "-X github.com/distsuper/distsuper/pkg/version.Version=1.0.0".
var Version string

// String is Version, or the commit that the binary was built from where nobody set it.
func String() string {
	settings := map[string]string{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			settings[s.Key] = s.Value
		}
	}
	return describe(Version, settings)
}

func describe(set string, build map[string]string) string {
	commit := build["vcs.revision"]
	switch {
	case set != "":
		return set
	case len(commit) < 12:
		return "unknown"
	case build["vcs.modified"] == "true":
		return commit[:12] + "-dirty"
	}
	return commit[:12]
}
