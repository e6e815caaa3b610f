package solo

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/gate"
)

func TestWarningsOfTheFileAreSaidOnce(t *testing.T) {
	r := ours(t).start(t, header+"[include]\nfiles=none/*.conf\n"+sleeper+"startsecs=-1\n[unix_http_server]\nfile=%(here)s/s\n")
	r.await("success: a")
	warnings := map[string]int{}
	for line := range strings.Lines(r.log()) {
		if _, text, ok := strings.Cut(line, " WARN "); ok {
			warnings[text]++
		}
	}
	if len(warnings) < 3 {
		t.Errorf("it warns only of %v", warnings)
	}
	for text, n := range warnings {
		if n != 1 {
			t.Errorf("%d times: %s", n, text)
		}
	}
	r.stop()
}

func TestPidFileThatIsADeviceStays(t *testing.T) {
	r := ours(t).prepare(t, "[supervisord]\nlogfile=%(here)s/d.log\nchildlogdir=%(here)s\npidfile=%(here)s/null\n"+sleeper)
	if err := unix.Mknod(r.path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		gate.Cannot(t, "only root can make a device: %v", err)
	}
	r.run()
	r.await("success: a")
	r.stop()
	if info, err := os.Stat(r.path("null")); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		t.Errorf("of the device it leaves %v, %v", info, err)
	}
}

func TestFlagsThatAreEmptyLeaveTheFilesSettings(t *testing.T) {
	r := ours(t).start(t, header+sleeper, "-l", "", "--pidfile=", "-a", "-5", "--minprocs=-1", "--profile_options=time")
	r.await("success: a")
	if pid, err := os.ReadFile(r.path("d.pid")); err != nil || string(pid) != fmt.Sprintf("%d\n", r.pid) {
		t.Errorf("its pid file has %q, %v; its pid is %d", pid, err, r.pid)
	}
	r.stop()
}
