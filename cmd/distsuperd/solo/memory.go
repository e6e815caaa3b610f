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
	// startGC is how much the heap may grow, in percent, before it is collected while everything is started at once: what is
	// made then lives until it is written down, so to look for garbage would only hold the start up.
	startGC = 400
	restGC  = 100
	// The start is over when the store has not changed for calmAfter, and at the latest after calmMost: a program
	// that crashes again and again changes it for ever.
	calmAfter = 2 * time.Second
	calmMost  = 30 * time.Second
)

// giveRoom lets the heap grow for the start, and gives what that took back to the system when the start is over
// or ctx ends. Who has set GOGC has it as they wish.
func (p *parts) giveRoom(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(startGC)
		defer debug.SetGCPercent(restGC)
	}
	p.awaitCalm(ctx)
	debug.FreeOSMemory()
	unmapStart()
}

// unmapStart lets go of the binary's own pages, of which most were needed to start only, such as to initialise an etcd that does not
// run here. Those that are used come back from the page cache at once.
func unmapStart() {
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

func (p *parts) awaitCalm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, calmMost)
	defer cancel()
	tick := time.NewTicker(calmAfter)
	defer tick.Stop()
	for rev := int64(-1); ; {
		now := p.mem.Rev()
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
