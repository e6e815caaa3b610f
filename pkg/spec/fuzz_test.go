package spec

import (
	"reflect"
	"strings"
	"testing"

	"github.com/distsuper/distsuper/pkg/ini"
)

// FuzzRead reads any text. Whatever it takes is valid, has processes, is planned without error, and
// reads back the same when it is written.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"[program:a]\ncommand=cat\n",
		"[DEFAULT]\nuser=x\n[program:a%]\ncommand=%(here)s %(ENV_X)s %%\nprocess_name=%(ENV_W)s\nnumprocs=2\nenvironment=W=\"%(process_num)d\"\n",
		"[program:a]\ncommand='a '';b'\n 'c\n  d'\nmachines=zone=a,localhost\ndirectory=%(here).0s x\n[group:g]\nprograms=a\npriority=-1\n",
		"[program:a]\ncommand=x\nstdout_logfile=/%%(process_num)d%(ENV_X)s\nstderr_logfile=off\nredirect_stderr=1\nexitcodes=\numask=0o7\n",
		"[supervisord]\nenvironment=X=\"1%(ENV_HOME)s\",N=2\n[program:a]\ncommand=%(ENV_X)s\nenvironment=A=%(ENV_X)s,B=\"%(ENV_N)5s\"\nserverurl=http://x\nstdout_syslog=1\nstderr_logfile=syslog\n",
		"[eventlistener:l]\ncommand=x\nevents=tick_5,EVENT\nbuffer_size=3\n[fcgi-program:f]\ncommand=x\nsocket=unix:///%(program_name)s\nsocket_mode=0600\n[group:g]\nprograms=f\n",
		"[inet_http_server:2]\nport=[::1]:9\nusername=%%\npassword={SHA}\n[unix_http_server]\nfile=~/s\nchown=a:b\n[rpcinterface:x]\nsupervisor.rpcinterface_factory=a:b\n[supervisorctl]\nserverurl=unix:///x\n",
		"[program: a ]\ncommand=x\n[group:a]\nprograms=a,a\n[x]\n[program]\n[eventlistener:x]\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := ini.Parse("/etc/x.ini", text)
		if err != nil {
			return
		}
		r, err := Read(file, world)
		if err != nil {
			if len(r.Programs) > 0 {
				t.Fatalf("programs %v with error %v", r.Programs, err)
			}
			return
		}
		for _, l := range r.Listeners {
			if err := Validate(l.Program); err != nil || len(l.Events) == 0 || l.BufferSize < 1 {
				t.Fatalf("read %+v, error %v", l, err)
			}
		}
		for _, f := range r.FastCGIs {
			if err := Validate(f.Program); err != nil || f.Socket == "" {
				t.Fatalf("read %+v, error %v", f, err)
			}
		}
		for _, s := range r.Servers {
			if (s.File == "") == (s.Port == 0) {
				t.Fatalf("read %+v", s)
			}
		}
		for _, p := range r.Programs {
			Explain(file, "program", p)
			if err := Validate(p); err != nil {
				t.Fatalf("read %+v, which is not valid: %v", p, err)
			}
			if !reflect.DeepEqual(Normalize(p), p) {
				t.Fatalf("read %+v, which is not normal", p)
			}
		}
		plan, err := Diff("file", r.Programs, nil)
		if err != nil || len(plan.Added) != len(r.Programs) {
			t.Fatalf("plan %+v, error %v", plan, err)
		}
		var b strings.Builder
		if err := Write(&b, r.Programs...); err != nil {
			return // a name with odd references; TestWhatIsWrittenReadsBackTheSame says what has to be writable
		}
		back, err := ini.Parse("/etc/x.ini", b.String())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		again, err := Read(back, world)
		if err != nil || !reflect.DeepEqual(again.Programs, r.Programs) {
			t.Fatalf("wrote\n%s\nof %+v\nread %+v, error %v", b.String(), r.Programs, again.Programs, err)
		}
	})
}
