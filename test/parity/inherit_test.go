package parity

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tellScript prints what a process finds when it is started. The difference token-descriptor is left out.
const tellScript = `printf '<%s>' "$@"; echo; pwd; umask; ulimit -Sn; ulimit -Hn; ulimit -Sp; id; ls /proc/self/fd 3<&- | wc -l
grep -E '^(SigBlk|Groups|CapEff|NoNewPrivs)' /proc/self/status; cut -d' ' -f6,7 /proc/$$/stat | wc -w; env | sort; echo end; exec sleep 1000
`

const tell = "command=sh %(here)s/tell.sh a 'b c' \"d\"\nredirect_stderr=true\nstdout_logfile=%(here)s/%(program_name)s.out\n"

// inheritDaemon is of [supervisord].
const inheritDaemon = `[supervisord]
environment=COMMON="c",BOTH="common",HOME="/h"
minfds=1500
`

// inheritConf has a program for each thing that a process inherits or is given.
const inheritConf = `[program:plain]
` + tell + `[program:own]
environment=BOTH="own",SUPERVISOR_ENABLED="no",SUPERVISOR_GROUP_NAME="mine",PATH="/opt:%(ENV_PATH)s",
  LONG="two
  lines"
umask=027
directory=/usr
` + tell + `[program:number]
numprocs_start=3
environment=N="%(process_num)02d/%(numprocs)d %(group_name)s %(host_node_name)s %(here)s"
` + tell + `[program:member]
` + tell + `[group:grp]
programs=member
`

// ofOneSide are the variables that only one side sets: ours has no server whose address it could tell.
var ofOneSide = regexp.MustCompile(`^(DISTSUPER_[A-Z_]+|SUPERVISOR_SERVER_URL|_|PWD|OLDPWD|SHLVL)=`)

// TestProcessesFindWhatTheyFindUnderSupervisord compares arguments, directory, umask, limits, user, descriptors, signals
// and environment of processes on both sides.
func TestProcessesFindWhatTheyFindUnderSupervisord(t *testing.T) {
	t.Parallel()
	conf, names := inheritConf, []string{"plain", "own", "number", "member"}
	if os.Geteuid() == 0 {
		conf += "[program:nobody]\nuser=nobody\n" + tell
		names = append(names, "nobody")
	}
	found := map[string][2][]string{}
	for i, s := range bothSides(t) {
		r := s.prepare(t, inheritDaemon+conf)
		r.write("tell.sh", tellScript)
		if err := os.Chmod(r.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r.startDaemon()
		for _, name := range names {
			r.until(func() bool { return strings.HasSuffix(r.read(name+".out"), "end\n") }, "%s does not tell everything", name)
			lines := strings.Split(strings.ReplaceAll(r.read(name+".out"), r.dir, "HERE"), "\n")
			both := found[name]
			both[i] = slices.DeleteFunc(lines, ofOneSide.MatchString)
			found[name] = both
		}
		r.stop()
	}
	for name, both := range found {
		if !slices.Equal(both[0], both[1]) {
			t.Errorf("%s finds\n%s\nunder supervisord it finds\n%s", name, strings.Join(both[0], "\n"), strings.Join(both[1], "\n"))
		}
	}
}

var random = regexp.MustCompile(`-[^-]{8}\.log$`)

// TestLogsAreThereAsUnderSupervisord compares which files there are once silent programs run, and how they are called.
func TestLogsAreThereAsUnderSupervisord(t *testing.T) {
	t.Parallel()
	sides := startBoth(t, "[program:a]\ncommand=sleep 1000\n[program:b]\ncommand=sleep 1000\nredirect_stderr=true\n[group:g]\nprograms=b\n"+
		"[program:c]\ncommand=sleep 1000\nstdout_logfile=%(here)s/c.out\nstderr_logfile=NONE\n", nil)
	var found [2][]string
	for i, r := range sides {
		r.until(func() bool { return strings.Count(r.log(), "spawned: ") == 3 }, "not all are spawned")
		list := func() (names []string) {
			entries, err := os.ReadDir(r.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if info, err := e.Info(); err == nil && (strings.Contains(e.Name(), "---") || strings.HasPrefix(e.Name(), "c.")) {
					names = append(names, info.Mode().String()+" "+random.ReplaceAllString(e.Name(), "-RANDOM.log"))
				}
			}
			return names
		}
		r.until(func() bool { found[i] = list(); return len(found[i]) == 4 }, "its logs are %v", list())
	}
	if !slices.Equal(found[0], found[1]) {
		t.Errorf("ours are\n%s\ntheirs\n%s", strings.Join(found[0], "\n"), strings.Join(found[1], "\n"))
	}
}
