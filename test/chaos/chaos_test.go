package chaos

import (
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/distsuper/distsuper/test/build"
	"github.com/distsuper/distsuper/test/gate"
	"github.com/distsuper/distsuper/test/reaper"
)

var programs = build.Folder{Names: build.Everything}

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Role {
		os.Exit(Main(os.Args[2:]))
	}
	os.Exit(reaper.Run(func() int {
		defer programs.Remove()
		return m.Run()
	}))
}

// TestLongNothingRunsTwiceWhateverGoesWrong plays a round with a seed of its own each time. An overlap or a falling token always
// fails it; how long a gap may be depends on the processor that others leave, so a gap that is too long is only told.
func TestLongNothingRunsTwiceWhateverGoesWrong(t *testing.T) {
	gate.Long(t)
	gate.Root(t)
	for _, tool := range []string{"etcd", "ip", "nft", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			gate.Cannot(t, "%v", err)
		}
	}
	dir, err := os.MkdirTemp("", "chaos-") // sockets are below it, so it must be short
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Seed: uint64(os.Getpid()), Faults: 20, Dir: dir, Bin: programs.Path(t), Hogs: 2 * runtime.NumCPU()}
	if err := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "true").Run(); err != nil {
		gate.Cannot(t, "this host lets nobody make namespaces: %v", err)
	}
	res, err := Play(t.Context(), o)
	if err != nil {
		t.Fatalf("%v; what is left is in %s", err, dir)
	}
	if len(res.Verdict.Ended) > 0 {
		t.Logf("ended by an outage, as it can be on a busy host: %v", res.Verdict.Ended)
	}
	t.Logf("seed %d: %d faults, load %.1f, %d witnesses, worst gap %v", o.Seed, res.Plan.Faults(), res.Load, res.Copies, res.Verdict.WorstGap)
	if len(res.Verdict.Late) > 0 {
		t.Logf("too late, as it can be on a busy host: %v", res.Verdict.Late)
	}
	if !res.Held(false) {
		t.Fatalf("make chaos SEED=%d plays it again; all of it is in %s\n%s", o.Seed, dir, Story(res, dir))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func TestASeedAlwaysDrawsTheSameRound(t *testing.T) {
	for seed := range uint64(200) {
		p := Draw(seed, 20)
		if q := Draw(seed, 20); !reflect.DeepEqual(p, q) {
			t.Fatalf("seed %d: %+v, then %+v", seed, p, q)
		}
		if p.Faults() < 17 || p.Faults() > 20 {
			t.Errorf("seed %d has %d faults instead of 20", seed, p.Faults())
		}
		away := 0
		for _, b := range p.Bursts {
			for _, f := range b.Faults {
				if kinds[f.Kind].family == outages {
					away++
				}
			}
		}
		if away != 1 {
			t.Errorf("seed %d has %d outages of etcd", seed, away)
		}
		bare := 0
		for _, h := range p.Hosts {
			if h.NoCgroups {
				bare++
			}
		}
		if bare != 2 && bare != 3 {
			t.Errorf("seed %d has %d machines without cgroups, which is not half of %d", seed, bare, Hosts)
		}
	}
}

func TestARoundOfOneKindBefallsOneHostAfterTheOther(t *testing.T) {
	for kind, hosts := range map[string]int{"stop-agent": Hosts, "kill-etcd": Voters} {
		p := Options{Seed: 1, Faults: 6, Only: kind}.plan()
		if len(p.Bursts) != 6 {
			t.Fatalf("it has %d bursts", len(p.Bursts))
		}
		for i, b := range p.Bursts {
			if f := b.Faults[0]; len(b.Faults) != 1 || f.Kind != kind || f.Host != i%hosts || f.Lasts < 6*time.Second {
				t.Errorf("burst %d is %v", i, b.Faults)
			}
		}
	}
}

func TestEveryKindOfFaultIsDrawn(t *testing.T) {
	drawn := map[string]bool{}
	for seed := range uint64(100) {
		for _, b := range Draw(seed, 20).Bursts {
			for _, f := range b.Faults {
				drawn[f.Kind] = true
				if kinds[f.Kind].voters && f.Host >= Voters {
					t.Errorf("seed %d: %v befalls a host without etcd", seed, f)
				}
			}
		}
	}
	for name := range kinds {
		if !drawn[name] {
			t.Errorf("%s is never drawn", name)
		}
	}
}

func TestNoBurstTakesEveryEnforcerOfAHost(t *testing.T) {
	on := func(host int, kinds ...string) (all []Fault) {
		for _, kind := range kinds {
			all = append(all, Fault{Kind: kind, Host: host})
		}
		return all
	}
	for _, c := range []struct {
		faults []Fault
		left   int
	}{
		{on(1, "stop-guardian", "stop-keeper-agent"), 1},
		{on(1, "stop-keeper-guard", "shift-agent", "cut"), 2},
		{on(1, "kill-agent", "kill-keeper", "kill-guardian"), 2},
		{append(on(1, "stop-guardian"), on(2, "stop-keeper-agent")...), 2},
		{on(1, "kill-host", "kill-guardian", "kill-agent"), 3},
	} {
		if left := survivable(c.faults); len(left) != c.left {
			t.Errorf("of %v remain %v", c.faults, left)
		}
	}
}
