package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one line about what the figures were measured on: date, machine, load and version.
func Host() string {
	var uts unix.Utsname
	kernel := "unknown kernel"
	if err := unix.Uname(&uts); err == nil {
		kernel = "Linux " + unix.ByteSliceToString(uts.Release[:])
	}
	load := "?"
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	version := "unknown"
	if out, err := exec.Command("git", "describe", "--tags", "--always", "--dirty").Output(); err == nil {
		version = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %s, %d cores, load %s, %s, distsuper %s",
		time.Now().Format(time.DateOnly), kernel, runtime.NumCPU(), load, runtime.Version(), version)
}

// Quantile is the value below which a share of the figures lies; it sorts them. Of none it is 0.
func Quantile(figures []time.Duration, share float64) time.Duration {
	if len(figures) == 0 {
		return 0
	}
	slices.Sort(figures)
	return figures[int(share*float64(len(figures)-1))]
}

// Millis writes a duration in milliseconds.
func Millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 20 {
		return fmt.Sprintf("%.2f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}
