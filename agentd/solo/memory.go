package solo

import (
	"context"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// startGC is the GOGC while everything is started at once: what is allocated then is in use until it is written down, so looking
	// for garbage would only delay the start.
	startGC = 400
	restGC  = 100
	// The start is over when the store has not changed for quietFor, and at the latest after quietWithin: a program that keeps crashing
	// keeps changing it.
	quietFor    = 2 * time.Second
	quietWithin = 30 * time.Second
)

// relaxGC lets the heap grow during the start, and returns that memory to the system when the start is over or ctx ends. A GOGC that
// the user has set stays as it is.
func (c *components) relaxGC(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(startGC)
		defer debug.SetGCPercent(restGC)
	}
	c.awaitQuiet(ctx)
	debug.FreeOSMemory()
	releaseStartPages()
}

// releaseStartPages releases the pages of the binary itself. Most were needed for the start only, such as to initialise an etcd that does
// not run here; those that are in use come back from the page cache at once.
func releaseStartPages() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		// 00400000-0129d000 r-xp 00000000 08:01 1234   /usr/bin/distsuperd
		fields := strings.Fields(line)
		if len(fields) < 6 || !strings.HasSuffix(strings.TrimSpace(line), " "+self) || fields[1][1] != '-' {
			continue // not the binary's, or written to
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && begin < end {
			unix.Syscall(unix.SYS_MADVISE, uintptr(begin), uintptr(end-begin), unix.MADV_DONTNEED)
		}
	}
}

func (c *components) awaitQuiet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, quietWithin)
	defer cancel()
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	for rev := int64(-1); ; {
		now := c.mem.Rev()
		if now == rev {
			return
		}
		rev = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
