package sim

import (
	"cmp"
	"fmt"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
)

// Host is a computer: it has clocks of its own, and is at one end of each of its links.
type Host struct {
	w     *World
	Name  string
	index int
	boots int
	since time.Duration // true time of its boot

	offset, rawOffset clock.Instant // of its clocks at its boot
	rate, rawRate     float64       // of CLOCK_BOOTTIME, which daemons slew, and of CLOCK_MONOTONIC_RAW, against true time
	wall              time.Duration // how far its wall clock is off
	like              string        // the host that it cannot be told from but by its boot id; "" is none
}

// crystal is how far the raw clocks of two hosts drift apart at most.
const crystal = 0.0004

func (w *World) newHost(name string) *Host {
	h := &Host{w: w, Name: name, index: len(w.hosts), rate: 1, rawRate: 1 + crystal*(2*w.rnd.Float64()-1)}
	h.boot()
	h.wall = time.Duration(w.rnd.Int64N(int64(4*time.Second))) - 2*time.Second
	w.hosts = append(w.hosts, h)
	return h
}

// boot starts the clocks anew.
func (h *Host) boot() {
	h.boots++
	h.since = h.w.now
	h.offset = clock.Instant(10*time.Second) + clock.Instant(h.w.rnd.Int64N(int64(time.Minute)))
	h.rawOffset = h.offset - clock.Instant(h.w.rnd.Int64N(int64(5*time.Second)))
}

// Now, Raw and Wall are what its clocks show; with NewTimer, which nobody may call, it is a clock.Clock.
func (h *Host) Now() clock.Instant {
	return h.offset + clock.Instant(float64(h.w.now-h.since)*h.rate)
}

// Raw is what CLOCK_MONOTONIC_RAW shows.
func (h *Host) Raw() int64 { return int64(h.rawOffset) + int64(float64(h.w.now-h.since)*h.rawRate) }

// Wall is what people read.
func (h *Host) Wall() time.Time { return epoch.Add(h.w.now + h.wall) }

// NewTimer panics: who simulates has timers of its own.
func (h *Host) NewTimer() clock.Timer { panic("sim: nothing here waits by a timer") }

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func (h *Host) moment() deadline.Moment { return deadline.Moment{Boot: h.Now(), Raw: h.Raw()} }

// when is the first true time at which the boot-time clock shows an instant.
func (h *Host) when(at clock.Instant) time.Duration {
	t := h.since + time.Duration(float64(at-h.offset)/h.rate)
	for h.offset+clock.Instant(float64(t-h.since)*h.rate) < at { // rounding
		t++
	}
	return max(t, h.w.now)
}

// bootID is that of its present boot.
func (h *Host) bootID() string { return fmt.Sprintf("%s-boot-%d", h.Name, h.boots) }

// identity is what tells it from every other host; dir is the state directory's.
func (h *Host) identity(dir string) api.HostIdentity {
	name := cmp.Or(h.like, h.Name)
	return api.HostIdentity{Name: name, BootID: h.bootID(), MachineID: "id-" + name, Hardware: "serial-" + name, Directory: dir}
}
