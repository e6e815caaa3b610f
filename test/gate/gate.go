// Package gate says where a test runs: on a machine that has what it needs, and only when long ones are asked for.
package gate

import (
	"os"
	"testing"
)

// Cannot ends a test that this machine cannot run, and says why. In CI, where everything has to run, that is a failure.
func Cannot(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI must be able to run this: "+format, args...)
	}
	t.Skipf(format, args...)
}

// Root ends a test that only root can run.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Cannot(t, "only root can do this")
	}
}

// Long ends a test that takes long, unless those were asked for.
func Long(t testing.TB) {
	t.Helper()
	if os.Getenv("DISTSUPER_LONG") == "" {
		t.Skip("takes long: runs with DISTSUPER_LONG=1 (make test-long)")
	}
}

// Etcd ends a test that starts an etcd when only quick ones are asked for.
func Etcd(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts an etcd, which a short run does not")
	}
}

// RealTime ends a test that waits for seconds, for a limit that no test may shorten, when only quick ones are asked for.
func RealTime(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("waits for seconds, which a short run does not")
	}
}
