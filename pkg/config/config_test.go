package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// world is a folder to load from, with an environment of its own.
type world struct {
	t   *testing.T
	cwd string
	etc string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	for _, s := range Settings {
		t.Setenv(s.Env, "")
	}
	t.Setenv(EnvFile, "")
	dir := t.TempDir()
	return &world{t: t, cwd: filepath.Join(dir, "cwd"), etc: filepath.Join(dir, "etc.ini")}
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(w.cwd, name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) load(program Program, args ...string) (*Config, error) {
	w.t.Helper()
	fs := pflag.NewFlagSet(string(program), pflag.ContinueOnError)
	AddFlags(fs, program)
	if err := fs.Parse(args); err != nil {
		w.t.Fatal(err)
	}
	return Load(Options{Flags: fs, Program: program, Cwd: w.cwd, Host: "host1", EtcFile: w.etc})
}

func (w *world) must(program Program, args ...string) *Config {
	w.t.Helper()
	c, err := w.load(program, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func TestDefaultsAreThoseOfTheIssue(t *testing.T) {
	w := newWorld(t)
	file := w.write(FileName, "")
	c := w.must(Distsuperd)
	state := filepath.Join(w.cwd, StateName)
	want := Config{
		File: file,
		Etcd: EtcdConfig{Prefix: "/distsuper/"}, Embedded: EmbeddedConfig{Quota: 2 << 30},
		Controller: ControllerConfig{ID: "host1", HTTP: "127.0.0.1:3378", ElectionTTL: 5, Settle: 15 * time.Second, StartPace: 32, MaxHold: 12 * time.Minute, StateDir: state,
			Log: LogConfig{File: filepath.Join(state, "distsuperd.log"), MaxBytes: 50 << 20, Backups: 10, Level: "info"}},
		Agent: AgentConfig{Machine: "host1", HTTP: "127.0.0.1:3379", StateDir: state,
			Log: LogConfig{File: filepath.Join(state, "distsuperagent.log"), MaxBytes: 50 << 20, Backups: 10, Level: "info"}},
		Ctl: CtlConfig{Source: "file", Prompt: "distsuper"},
	}
	same(t, c, want)
	if !c.UsesEmbedded() {
		t.Error("without endpoints the store is the embedded etcd")
	}
}

// same compares what was set, not the file or the texts it came from.
func same(t *testing.T, got *Config, want Config) {
	t.Helper()
	c := *got
	c.Ini, c.texts, c.Warnings = nil, nil, nil
	want.Ini, want.texts, want.Warnings = nil, nil, nil
	if !reflect.DeepEqual(c, want) {
		t.Errorf("settings are\n%+v, want\n%+v", c, want)
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	w := newWorld(t)
	w.write(FileName, "[etcd]\nendpoints = file:1\n[distsuperagent]\nmachine = of-file\n[distsuperd]\nid = of-file\n")
	if c := w.must(Agent); c.Etcd.Endpoints[0] != "file:1" || c.Agent.Machine != "of-file" {
		t.Errorf("file alone gives %v and %q", c.Etcd.Endpoints, c.Agent.Machine)
	}
	t.Setenv("DISTSUPER_ETCD_ENDPOINTS", "env:1, env:2")
	t.Setenv("DISTSUPER_AGENT_MACHINE", "of-env")
	if c := w.must(Agent); !reflect.DeepEqual(c.Etcd.Endpoints, []string{"env:1", "env:2"}) || c.Agent.Machine != "of-env" {
		t.Errorf("environment over file gives %v and %q", c.Etcd.Endpoints, c.Agent.Machine)
	}
	if c := w.must(Agent, "--machine", "of-flag", "--etcd-endpoints=flag:1"); c.Etcd.Endpoints[0] != "flag:1" || c.Agent.Machine != "of-flag" {
		t.Errorf("flag over environment gives %v and %q", c.Etcd.Endpoints, c.Agent.Machine)
	}
}

func TestFlagOfOneDaemonLeavesTheOtherAlone(t *testing.T) {
	w := newWorld(t)
	w.write(FileName, "")
	c := w.must(Distsuperd, "--http", "127.0.0.1:9", "--log-level", "debug", "--state-dir", "s")
	if c.Controller.HTTP != "127.0.0.1:9" || c.Controller.Log.Level != "debug" || c.Controller.StateDir != filepath.Join(w.cwd, "s") {
		t.Errorf("flags of distsuperd gave %+v", c.Controller)
	}
	if c.Agent.HTTPGiven || c.Agent.Log.Level != "info" || c.Agent.StateDir != filepath.Join(w.cwd, StateName) {
		t.Errorf("flags of distsuperd changed the agent's settings: %+v", c.Agent)
	}
}

func TestFileIsTheNamedOneElseTheLocalElseTheSystems(t *testing.T) {
	w := newWorld(t)
	_, err := w.load(Agent)
	if !errors.Is(err, ErrNoFile) || !strings.Contains(err.Error(), "init config") {
		t.Errorf("with no file Load says %v, want ErrNoFile with what to do", err)
	}
	w.write(w.etc, "[distsuperagent]\nmachine = etc\n")
	if c := w.must(Agent); c.Agent.Machine != "etc" || c.File != w.etc {
		t.Errorf("read %s", c.File)
	}
	w.write(FileName, "[distsuperagent]\nmachine = local\n")
	if c := w.must(Agent); c.Agent.Machine != "local" {
		t.Errorf("read %s", c.File)
	}
	w.write("other.ini", "[distsuperagent]\nmachine = other\n")
	t.Setenv(EnvFile, "other.ini")
	if c := w.must(Agent); c.Agent.Machine != "other" {
		t.Errorf("read %s", c.File)
	}
	w.write("sub/flag.ini", "[distsuperagent]\nmachine = flag\n")
	c := w.must(Agent, "-c", "sub/flag.ini")
	if c.Agent.Machine != "flag" || c.Agent.StateDir != filepath.Join(w.cwd, "sub", StateName) {
		t.Errorf("read %s with state in %s, which belongs beside the file", c.File, c.Agent.StateDir)
	}
	if _, err := w.load(Agent, "-c", "none.ini"); err == nil || !strings.Contains(err.Error(), "none.ini does not exist") {
		t.Errorf("a named file that is missing gives %v", err)
	}
}

func TestEndpointsMakeTheFileUnnecessary(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(w.cwd, 0o755); err != nil {
		t.Fatal(err)
	}
	if c := w.must(Agent, "--etcd-endpoints", "a:1"); c.File != "" || c.Etcd.Endpoints[0] != "a:1" {
		t.Errorf("with the flag: file %q, endpoints %v", c.File, c.Etcd.Endpoints)
	}
	t.Setenv("DISTSUPER_ETCD_ENDPOINTS", "b:1")
	if c := w.must(Ctl); c.Etcd.Endpoints[0] != "b:1" {
		t.Errorf("with the environment: endpoints %v", c.Etcd.Endpoints)
	}
}

func TestStateOfAFileInEtcLivesInVarLib(t *testing.T) {
	for file, want := range map[string]string{
		"/etc/distsuper.ini":           EtcState,
		"/etc/distsuper/distsuper.ini": EtcState,
		"/etcetera/distsuper.ini":      "/etcetera/.distsuper",
		"":                             "/cwd/.distsuper",
	} {
		if got := stateDir(file, "/cwd"); got != want {
			t.Errorf("state of %q is in %s, want %s", file, got, want)
		}
	}
}

func TestUnknownNamesWarnWithPlaceAndNearestKnown(t *testing.T) {
	w := newWorld(t)
	file := w.write(FileName, strings.Join([]string{
		"[DEFAULT]", "colour = red", // inherited everywhere, so no mistake of a section
		"[etcd]", "endpoint = a:1", "settle = 3", "zzz = 1",
		"[distsuperdd]", "[porgram:web]", "[program]", "[program:web]", "[group:g]", "[include]", "files =",
		"[supervisord]", "[rpcinterface:x]", "[db]", "[server-http]", "[whatever]",
	}, "\n"))
	want := []string{
		":4: [etcd] endpoint is not known and not used; did you mean endpoints?",
		":5: [etcd] settle is not known and not used; it belongs in [distsuperd]",
		":6: [etcd] zzz is not known and not used; known here: endpoints, prefix",
		":7: [distsuperdd]: is not known and not used; did you mean [distsuperd]?",
		":8: [porgram:web]: is not known and not used; did you mean [program:web]?",
		":9: [program]: has no name and is not used; write [program:name]",
		":16: [db]: is from distsuper 0.2 and is not used; there is no database",
		":17: [server-http]: is from distsuper 0.2 and is not used; [distsuperd] http",
		":18: [whatever]: is not known and not used; programs belong in [program:x]",
	}
	got := w.must(Ctl).Warnings
	for i, line := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], file+line) {
			t.Fatalf("warnings are\n%s\nwant at %d\n%s", strings.Join(got, "\n"), i, file+line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("further warnings: %q", got[len(want):])
	}
}

func TestAConfigurationOfSupervisordIsTakenAndTellsWhatAFleetDoesNotFollow(t *testing.T) {
	w := newWorld(t)
	file := w.write("supervisord.conf", strings.Join([]string{
		"[unix_http_server]", "file=/run/s.sock", "[inet_http_server:2]", "port=9001", "[supervisorctl]", "[rpcinterface:supervisor]",
		"[ctlplugin:x]", "[eventlistener:l]", "[fcgi-program:f]", "[supervisord]", "logfile=/var/log/s.log", "nodaemon=true", "user=app",
		"umask=022", "strip_ansi = true", "nodemon=true", "[program:web]", "command=x",
	}, "\n"))
	t.Setenv(EnvFile, file)
	got := w.must(Ctl).Warnings
	want := []string{":13: [supervisord] user: has no effect in a fleet: programs run as the agent's user; write user in each",
		":16: [supervisord] nodemon: is not known and not used; did you mean nodaemon?"}
	for i, line := range want {
		if i >= len(got) || !strings.HasPrefix(got[i], file+line) {
			t.Fatalf("warnings are\n%s\nwant at %d\n%s", strings.Join(got, "\n"), i, file+line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("further warnings: %q", got[len(want):])
	}
	if got := w.must(Agent).Warnings; len(got) > 0 {
		t.Errorf("the agent, which loads no programs, warns %q", got)
	}
}

func TestShellIsSetAsInSupervisorctlWhereOursSaysNothing(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, c := range []struct{ text, prompt, history string }{
		{"", "distsuper", ""},
		{"[supervisorctl]", "supervisor", ""},
		{"[supervisorctl]\nserverurl = unix:///s.sock\nprompt = mine\nhistory_file = ~/.h", "mine", filepath.Join(home, ".h")},
		{"[supervisorctl]\nprompt = theirs\nhistory_file = %(here)s/h\n[distsuperctl]\nprompt = ours", "ours", "HERE/h"},
		{"[supervisorctl]\nprompt = %(nope)s\nhistory_file = h", "supervisor", "HERE/h"},
		{"[distsuperctl]\nhistory_file = None", "distsuper", NoFile},
		{"[distsuperctl]\nhistory_file = sub/h", "distsuper", "HERE/sub/h"},
	} {
		w := newWorld(t)
		w.write(FileName, c.text)
		want := strings.ReplaceAll(c.history, "HERE", w.cwd)
		if got := w.must(Ctl).Ctl; got.Prompt != c.prompt || got.HistoryFile != want {
			t.Errorf("%q: prompt %q, history %q, want %q, %q", c.text, got.Prompt, got.HistoryFile, c.prompt, want)
		}
	}
}

func TestEverySectionOfDistsuper02SaysWhatReplacedIt(t *testing.T) {
	for _, name := range []string{"common", "agent", "server", "db", "http", "server-http", "agent-http"} {
		if p := sectionProblem(name); !strings.HasPrefix(p, "is from distsuper 0.2 and is not used; ") {
			t.Errorf("[%s] %s", name, p)
		}
	}
}

func TestBadValueNamesItsPlace(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[distsuperd]\nelection_ttl = 1", ":2: [distsuperd] election_ttl: 1 is too small; write 2 or more"},
		{"[distsuperd]\nsettle = soon", ":2: [distsuperd] settle: not a whole number"},
		{"[distsuperd]\nhttp = nowhere", ":2: [distsuperd] http: not an address"},
		{"[distsuperd]\nlog_level = loud", `:2: [distsuperd] log_level: "loud" is not a log level`},
		{"[distsuperagent]\nlabels = zone", `"zone" is not a label`},
		{"[distsuperagent]\nlabels = a=1, a=2", "label a is given twice"},
		{"[distsuperagent]\nmachine = %(nope)s", "cannot be expanded here"},
		{"[etcd]\ncert = a.pem", "cert and key come together"},
		{"[etcd]\npassword = x", "needs a username"},
		{"[etcd]\nca = -----BEGIN CERTIFICATE-----\n AAAA", "no END line"},
		{"[distsuperctl]\nsource = api", "choose another name"},
		{"nonsense", "comes before any section header"},
	} {
		w := newWorld(t)
		w.write(FileName, c.text)
		if _, err := w.load(Ctl); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q gives %v, want %q", c.text, err, c.want)
		}
	}
	w := newWorld(t)
	w.write(FileName, "")
	if _, err := w.load(Distsuperd, "--settle", "x"); err == nil || !strings.HasPrefix(err.Error(), "--settle: ") {
		t.Errorf("a bad flag gives %v", err)
	}
	t.Setenv("DISTSUPER_AGENT_MAX_PROCESSES", "many")
	if _, err := w.load(Agent); err == nil || !strings.HasPrefix(err.Error(), "DISTSUPER_AGENT_MAX_PROCESSES: ") {
		t.Errorf("a bad variable gives %v", err)
	}
}

func TestMaterialIsAFileOrThePEMItself(t *testing.T) {
	w := newWorld(t)
	w.write("conf/d.ini", "[etcd]\nca = ca.pem\ncert = -----BEGIN CERTIFICATE-----\n  QUJD\n  -----END CERTIFICATE-----\nkey = /k.pem\n")
	c := w.must(Agent, "-c", "conf/d.ini")
	if want := filepath.Join(w.cwd, "conf/ca.pem"); c.Etcd.CA != want {
		t.Errorf("ca is %q, want %q beside the file", c.Etcd.CA, want)
	}
	if want := "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"; c.Etcd.Cert != want {
		t.Errorf("cert is %q, want %q", c.Etcd.Cert, want)
	}
	if c.Etcd.Key != "/k.pem" {
		t.Errorf("key is %q", c.Etcd.Key)
	}
}

func TestAgentListensForOthersOnlyWhenThereAreOthers(t *testing.T) {
	for text, want := range map[string]string{
		"": "127.0.0.1:3379",
		"[embedded-etcd]\nlisten = 127.0.0.1:2379": "127.0.0.1:3379",
		"[embedded-etcd]\nlisten = 10.0.0.1:2379":  ":3379",
		"[embedded-etcd]\nlisten = :2379":          ":3379",
		"[etcd]\nendpoints = a:2379":               ":3379",
		"[distsuperagent]\nhttp = 10.0.0.1:1":      "10.0.0.1:1",
	} {
		w := newWorld(t)
		w.write(FileName, text)
		if c := w.must(Agent); c.Agent.HTTP != want || c.Agent.HTTPGiven != strings.Contains(text, "http") {
			t.Errorf("%q: the agent listens on %s (given %v), want %s", text, c.Agent.HTTP, c.Agent.HTTPGiven, want)
		}
	}
}

func TestPortZeroAsksForAFreePortOfOurOwnAndIsNoAddressOfEtcd(t *testing.T) {
	w := newWorld(t)
	w.write(FileName, "[distsuperd]\nhttp = 127.0.0.1:0\n[distsuperagent]\nhttp = *:0\n")
	c := w.must(Agent)
	if c.Controller.HTTP != "127.0.0.1:0" || c.Agent.HTTP != ":0" {
		t.Errorf("http = %q and %q, want 127.0.0.1:0 and :0", c.Controller.HTTP, c.Agent.HTTP)
	}
	w.write(FileName, "[embedded-etcd]\nlisten = 127.0.0.1:0\n")
	if _, err := w.load(Distsuperd); err == nil {
		t.Error("etcd may listen on port 0, where nobody finds it")
	}
}

func TestTemplateParsesWithoutWarningsAndGivesTheDefaults(t *testing.T) {
	empty := newWorld(t)
	empty.write(FileName, "")
	want := empty.must(Distsuperd)

	uncomment := regexp.MustCompile(`(?m)^;([a-z_]+ =)`)
	for name, text := range map[string]string{
		"as it is":                  Template(),
		"with settings uncommented": uncomment.ReplaceAllString(Template(), "$1"),
	} {
		empty.write(FileName, text)
		c := empty.must(Distsuperd)
		if strings.HasPrefix(name, "with") { // the commented program's keys came along; the settings are what counts
			c.Warnings = nil
		}
		if len(c.Warnings) > 0 {
			t.Errorf("%s: warnings %q", name, c.Warnings)
		}
		same(t, c, *want)
		test, ok := c.Ini.Section("program:test")
		if !ok {
			t.Fatalf("%s: there is no [program:test]", name)
		}
		if v, _ := test.Get("autostart"); v.Text != "false" {
			t.Errorf("%s: [program:test] autostart = %q", name, v.Text)
		}
	}
	for _, s := range Settings {
		if !strings.Contains(Template(), "\n;"+s.Key+" =") {
			t.Errorf("the template does not show %s", s.Name())
		}
	}
}

func TestEverySettingHasItsNameOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Settings {
		for _, name := range append([]string{s.path()}, flagNames(s)...) {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if s.Env == "" || s.Help == "" || s.set == nil {
			t.Errorf("%s lacks an env, a help text or a setter", s.Name())
		}
		if s.Key == "password" && s.Flag != "" {
			t.Errorf("%s has a flag, which every process list would show", s.Name())
		}
	}
}

func flagNames(s Setting) []string {
	var names []string
	for _, p := range s.For {
		names = append(names, string(p)+" --"+s.Flag)
	}
	return names
}

func TestChangedTellsWhatTakesEffectAtOnceForTheProgram(t *testing.T) {
	w := newWorld(t)
	w.write(FileName, "[distsuperagent]\nlabels = a=1\nmachine = m1\n[etcd]\nusername = u\npassword = one\n")
	before := w.must(Agent)
	w.write(FileName, "[distsuperagent]\nlabels = a=2\nmachine = m2\n[etcd]\nusername = u\npassword = two\n[distsuperd]\nlog_level = debug\n")
	after := w.must(Agent)
	for _, c := range []struct {
		program       Program
		live, atStart []string
	}{
		{Agent, []string{"[distsuperagent] labels"}, []string{"[etcd] password", "[distsuperagent] machine"}},
		{Distsuperd, []string{"[distsuperd] log_level"}, []string{"[etcd] password"}},
	} {
		live, atStart := Changed(before, after, c.program)
		if !reflect.DeepEqual(live, c.live) || !reflect.DeepEqual(atStart, c.atStart) {
			t.Errorf("%s: live %q, at the next start %q", c.program, live, atStart)
		}
	}
}
