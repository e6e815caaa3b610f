package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
)

func TestStatusIsOneFlatLine(t *testing.T) {
	exit := 3
	s := api.Status{Token: 7, Instance: "i1", OnPartition: api.PartitionStop, Lease: 9, Released: true, Refused: true,
		Observed: api.Observed{State: api.Exited, PID: 42, Started: time.Unix(1, 0).UTC(), Stopped: time.Unix(2, 0).UTC(), Exit: &exit,
			Signal: "TERM", Starts: 2, Reason: "why", StdoutLog: "/out", StderrLog: "/err"}}
	got, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"token":7,"instance":"i1","state":"EXITED","pid":42,"started":"1970-01-01T00:00:01Z","stopped":"1970-01-01T00:00:02Z",` +
		`"exit":3,"signal":"TERM","starts":2,"reason":"why","stdout_log":"/out","stderr_log":"/err","released":true,"on_partition":"stop","lease":9,"refused":true}`
	if string(got) != want {
		t.Errorf("a status reads\n%s\nwant\n%s", got, want)
	}
	var back api.Status
	if err := json.Unmarshal(got, &back); err != nil || back.PID != 42 || *back.Exit != 3 || back.StderrLog != "/err" {
		t.Errorf("read back: %+v, %v", back, err)
	}
}
