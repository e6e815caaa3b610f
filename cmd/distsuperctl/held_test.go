package main

import (
	"strings"
	"testing"
	"time"
)

func TestStatusAndWhySayThatOutputIsHeldUp(t *testing.T) {
	inFleet(t, []string{"m1"}, func(t *testing.T, f *fleet) {
		f.load(program("web", nil))
		f.wants(exitOK, "web: started\n", "start", "web")
		if err := f.boxes["m1"].keeper.HoldOutput("web", "/log/web.log: no space left on device"); err != nil {
			t.Fatal(err)
		}
		since := time.Now().Format("15:04:05")
		time.Sleep(time.Second)
		held := "held up since " + since + ": /log/web.log: no space left on device"
		for line, want := range map[string]string{"status": ", output " + held + "\n", "why web": "output        " + held, "status --json": `"output_held": "/log/web.log: no space`} {
			if r := f.wants(exitOK, "*", strings.Fields(line)...); !strings.Contains(r.out, want) {
				t.Errorf("%s has no %q:\n%s", line, want, r.out)
			}
		}
		if err := f.boxes["m1"].keeper.HoldOutput("web", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if r := f.wants(exitOK, "*", "status"); strings.Contains(r.out, "held up") {
			t.Errorf("when it is written again, status says %s", r.out)
		}
	})
}
