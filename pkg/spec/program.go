package spec

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/ini"
)

// programReader reads one section, key by key of the table.
type programReader struct {
	*reader
	section *ini.Section
	program api.Program
	bad     map[string]bool // the keys with an error: nothing more is said of them
	extra   []string        // further keys of this kind of program, read elsewhere
}

// read returns the program, or false when anything in its section is wrong.
func (r *programReader) read() (api.Program, bool) {
	before := len(r.errs)
	for _, late := range []bool{false, true} { // what supervisor reads for each process needs what it reads once
		if late {
			r.withCommon()
		}
		for _, k := range table {
			if k.inLoop == late {
				r.key(k)
			}
		}
	}
	r.unknownOptions(r.section, slices.Concat(names(), r.extra))
	r.contradictions()
	r.program = Normalize(r.program)
	for _, e := range problems(r.program) {
		if !r.bad[e.Field] {
			r.fail(r.section, r.written(e.Field), reason{e})
		}
	}
	if len(r.errs) > before {
		return r.program, false
	}
	r.commandWarnings()
	r.silenceWarning()
	return r.program, true
}

// calmTimeout is the least touch_timeout with which an election in etcd, of up to 3 s, restarts nothing.
const calmTimeout = 5

// silenceWarning tells what a short touch_timeout does not survive.
func (r *programReader) silenceWarning() {
	p := r.program
	if r.settings.Alone || p.TouchTimeout >= calmTimeout || p.OnPartition == api.PartitionKeep {
		return
	}
	ttl := int64(p.TouchTimeout)
	survives := deadline.Survives(ttl, time.Duration(p.StopWaitSecs)*time.Second, deadline.Patience(ttl))
	r.warn(r.section, "touch_timeout", "with %d, etcd may be silent for at most %v before the process is restarted, while an election in etcd takes "+
		"up to 3s; write %d or more if that must not be noticed", p.TouchTimeout, survives.Truncate(100*time.Millisecond), calmTimeout)
}

// reason is a FieldError whose field the place around it names already.
type reason struct{ *FieldError }

func (r reason) Error() string { return r.Reason }
func (r reason) Unwrap() error { return r.FieldError }

// find returns the spelling of a key that counts in this section, or "": its own before what it
// inherits, the name before its aliases.
func (r *programReader) find(k Key) string {
	var own, inherited []string
	for _, name := range append([]string{k.Name}, k.Aliases...) {
		if _, ok := r.section.Get(name); !ok {
			continue
		}
		if r.section.Inherits(name) {
			inherited = append(inherited, name)
		} else {
			own = append(own, name)
		}
	}
	if len(own) > 1 {
		r.warn(r.section, own[1], "is ignored, since %s is set, too; they are the same key", own[0])
	}
	if all := append(own, inherited...); len(all) > 0 {
		return all[0]
	}
	return ""
}

// written returns the spelling of a field in the section, for its place.
func (r *programReader) written(field string) string {
	for _, k := range table {
		if k.Name != field {
			continue
		}
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if _, ok := r.section.Get(name); ok {
				return name
			}
		}
	}
	return field
}

// key reads one key, if the section has it.
func (r *programReader) key(k Key) {
	name := r.find(k)
	if name == "" {
		if k.Required {
			r.reject(k, "", errors.New(k.Name+" is missing; write "+k.Name+" = "+k.Form))
		}
		return
	}
	v, _ := r.section.Get(name)
	if v.Text == "" && k.unset {
		r.warn(r.section, name, "is empty, which counts as unset; leave it out, or write %s", k.Form)
		return
	}
	text, err := r.expand(k, name, v)
	if err == nil {
		err = withForm(k.set(&r.program, text), k.Form)
	}
	if err == nil && k.Name == "environment" {
		err = r.environment(k, name, v)
	}
	if err == nil && k.Name == "machines" {
		err = r.localMachine(name)
	}
	if errors.Is(err, errNoEffect) || err == nil && k.NoEffect && r.asks(k) {
		r.warn(r.section, name, "has no effect: distsuper does not do this yet (%s)", strings.TrimSuffix(k.Doc, "."))
		return
	}
	r.reject(k, name, err)
}

// asks reports whether the program has another value than the default of a key.
func (r *programReader) asks(k Key) bool {
	text, err := k.get(r.program)
	return err == nil && text != k.Default
}

func (r *programReader) reject(k Key, name string, err error) {
	if err == nil {
		return
	}
	r.bad[k.Name] = true
	r.fail(r.section, name, err)
}

// localMachine puts the name of this machine in place of localhost.
func (r *programReader) localMachine(key string) error {
	for i, m := range r.program.Machines {
		switch {
		case !isLocal(m):
		case r.settings.LocalMachine == "":
			return errors.New(m + " stands for this machine, whose name is not known; write its name")
		case isLocal(r.settings.LocalMachine):
			return errors.New(m + " stands for this machine, which is itself called " + r.settings.LocalMachine +
				"; give it a name of its own by [distsuperagent] machine")
		default:
			r.program.Machines[i] = r.settings.LocalMachine
			r.note(r.section, key, "%s is replaced by %s, the name of this machine", m, r.settings.LocalMachine)
		}
	}
	return nil
}

// contradictions tells of keys that go together badly.
func (r *programReader) contradictions() {
	p, s := r.program, r.section
	if p.StopAsGroup && !p.KillAsGroup && !r.bad["killasgroup"] {
		if _, ok := s.Get("killasgroup"); ok {
			r.bad["killasgroup"] = true
			r.failf(s, "killasgroup", "stopasgroup is true, and so killasgroup cannot be false: a group that is asked to stop is killed as a group; leave killasgroup out")
		}
	}
	if file := p.Stderr.File; p.RedirectStderr && file != api.LogAuto && file != api.LogNone && file != logSyslog {
		r.warn(s, "stderr_logfile", "is not used, since redirect_stderr is true")
	}
	if _, ok := s.Get("stderr_syslog"); ok && p.RedirectStderr && p.Stderr.Syslog {
		r.warn(s, "stderr_syslog", "is not used, since redirect_stderr is true; stdout_syslog applies to both")
	}
	for _, ch := range []struct {
		name string
		log  api.Log
	}{{"stdout", p.Stdout}, {"stderr", p.Stderr}} {
		if ch.log.File == logSyslog {
			r.warn(s, ch.name+"_logfile", "syslog is deprecated here; write %s_syslog = true, which needs no %s_logfile but NONE", ch.name, ch.name)
		}
		if ch.log.File == api.LogAuto && ch.log.MaxBytes <= 0 && !(ch.name == "stderr" && p.RedirectStderr) {
			r.warn(s, ch.name+"_logfile_maxbytes", "is 0: the log of %s is never rotated and may fill the disk", ch.name)
		}
	}
	for _, n := range []struct {
		key string
		n   int
	}{{"numprocs", p.Numprocs}, {"startsecs", p.StartSecs}, {"startretries", p.StartRetries}, {"stopwaitsecs", p.StopWaitSecs}} {
		if n.n < 0 {
			r.warn(s, n.key, "%d counts as 0", n.n)
		}
	}
}

// commandWarnings tells what a shell would do with the command, and we do not.
func (r *programReader) commandWarnings() {
	command := r.program.Command
	if r.program.Shell {
		return
	}
	if found := ini.ShellMetacharacters(command); len(found) > 0 {
		r.warn(r.section, "command", "has %s, which no shell will see: the command is split and run as it is; write shell = true if you mean it, or quote it",
			strings.Join(found, " and "))
	}
	words, err := ini.Split(command)
	if err != nil {
		r.warn(r.section, "command", "cannot be split into words and will not start: %v", err)
	}
	if len(words) > 0 && filepath.Base(words[0]) == "pidproxy" {
		r.warn(r.section, "command", "supervisor's pidproxy ends before what it signals, which is killed then; write distsuperd pidproxy in its place")
	}
}

// directory returns what %(here)s means for a value.
func directory(v ini.Value) string {
	here, err := filepath.Abs(filepath.Dir(v.File))
	if err != nil {
		return filepath.Dir(v.File)
	}
	return here
}
