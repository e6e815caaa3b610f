package solo

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// journal is the daemon's own log, in supervisord's format and with its levels.
type journal struct {
	level ini.Level
	// ending: everything is being stopped, and what parts meet because of it is not worth a warning.
	ending atomic.Bool

	mu   sync.Mutex   // guards what follows
	file *rotating    // nil without
	out  io.Writer    // stdout; nil without
	sys  *logs.Syslog // nil without
}

// openJournal opens the log that the settings name, and stdout in the foreground unless it is to be silent.
func openJournal(s spec.Supervisord) (*journal, error) {
	j := &journal{level: s.Loglevel}
	if s.Nodaemon && !s.Silent {
		j.out = os.Stdout
		appendTo(os.Stdout)
	}
	if s.Logfile == spec.LogfileSyslog {
		j.sys = newSyslog("")
		return j, nil
	}
	var err error
	if j.file, err = openRotating(s.Logfile, s.LogfileMaxBytes, s.LogfileBackups); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return j, nil
}

// syslogTag is supervisord's name in syslog.
const syslogTag = "supervisord"

// newSyslog sends the journal to the syslog at a socket, the host's when empty. Nobody is left to be told when that is away:
// supervisord, too, goes on without.
func newSyslog(socket string) *logs.Syslog { return logs.NewSyslog(socket, syslogTag, zap.NewNop()) }

// appendTo has lines come after whatever is in a file, when stdout is one: processes that log to /dev/stdout open it
// anew, and each would write over the other's.
func appendTo(file *os.File) {
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, _ = unix.FcntlInt(file.Fd(), unix.F_SETFL, flags|unix.O_APPEND) // what cannot is no file
	}
}

// say writes one line.
func (j *journal) say(level ini.Level, format string, args ...any) {
	if level < j.level {
		return
	}
	text := fmt.Sprintf(format, args...)
	now := time.Now()
	line := fmt.Sprintf("%s,%03d %s %s\n", now.Format("2006-01-02 15:04:05"), now.Nanosecond()/1e6, level.Code(), text)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.out != nil {
		io.WriteString(j.out, line) // nobody is left to be told that stdout is gone
	}
	if j.file != nil {
		if err := j.file.write(line); err != nil && j.out == nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", j.file.path, err)
		}
	}
	if j.sys != nil {
		j.sys.Send("", []byte(line))
	}
}

// output tells what a process printed, as supervisord does at debug.
func (j *journal) output(process, channel string, data []byte) {
	j.say(ini.LevelDebug, "%s", supervisor.Output(api.ProcessName(process), channel, data))
}

func (j *journal) info(format string, args ...any)     { j.say(ini.LevelInfo, format, args...) }
func (j *journal) warn(format string, args ...any)     { j.say(ini.LevelWarn, format, args...) }
func (j *journal) error(format string, args ...any)    { j.say(ini.LevelError, format, args...) }
func (j *journal) critical(format string, args ...any) { j.say(ini.LevelCritical, format, args...) }

// reopen opens the file by its name, for who has moved it away.
func (j *journal) reopen() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	return j.file.reopen()
}

// logger is the journal as the parts know it. Their own stories are told by the journal in supervisord's words, so of
// theirs only warnings are shown, and all at debug.
func (j *journal) logger() *zap.Logger {
	form := zapcore.EncoderConfig{MessageKey: "m", NameKey: "n", ConsoleSeparator: ": ", EncodeName: zapcore.FullNameEncoder,
		EncodeDuration: zapcore.StringDurationEncoder}
	least := zapcore.WarnLevel
	if j.level <= ini.LevelDebug {
		least = zapcore.DebugLevel
	}
	return zap.New(&partsCore{LevelEnabler: least, enc: zapcore.NewConsoleEncoder(form), j: j})
}

// partsCore writes the parts' messages into the journal.
type partsCore struct {
	zapcore.LevelEnabler
	enc zapcore.Encoder
	j   *journal
}

func (c *partsCore) With(fields []zapcore.Field) zapcore.Core {
	enc := c.enc.Clone()
	for _, f := range fields {
		f.AddTo(enc)
	}
	return &partsCore{c.LevelEnabler, enc, c.j}
}

func (c *partsCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *partsCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	text, err := c.enc.EncodeEntry(e, fields)
	if err != nil {
		return err
	}
	defer text.Free()
	level := ini.LevelDebug
	switch {
	case e.Level >= zapcore.DPanicLevel:
		level = ini.LevelCritical
	case e.Level == zapcore.ErrorLevel:
		level = ini.LevelError
	case e.Level == zapcore.WarnLevel && !c.j.ending.Load():
		level = ini.LevelWarn
	}
	c.j.say(level, "%s", strings.TrimSuffix(text.String(), "\n"))
	return nil
}

func (c *partsCore) Sync() error { return nil }

// rotating is a file that is moved to .1, .2 ... when it has grown to a size, as supervisord does it: after a write.
type rotating struct {
	path    string
	max     int64
	backups int
	file    *os.File
	size    int64
	regular bool // a file whose name is ours to move
}

func openRotating(path string, max int64, backups int) (*rotating, error) {
	r := &rotating{path: path, max: max, backups: backups}
	return r, r.reopen()
}

func (r *rotating) reopen() error {
	file, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if r.file != nil {
		r.file.Close()
	}
	r.file, r.size, r.regular = file, info.Size(), info.Mode().IsRegular() && !logs.IsStream(r.path)
	return nil
}

func (r *rotating) write(line string) error {
	n, err := r.file.WriteString(line)
	r.size += int64(n)
	if err == nil && r.max > 0 && r.regular && r.size >= r.max {
		return r.rotate()
	}
	return err
}

func (r *rotating) rotate() error {
	if r.backups <= 0 {
		r.size = 0
		return r.file.Truncate(0)
	}
	for i := r.backups - 1; i >= 0; i-- {
		from := r.path
		if i > 0 {
			from = fmt.Sprintf("%s.%d", r.path, i)
		}
		if err := os.Rename(from, fmt.Sprintf("%s.%d", r.path, i+1)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return r.reopen()
}

// close ends the log; the next one in this process opens its own.
func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file != nil {
		j.file.file.Close()
		j.file = nil
	}
	if j.sys != nil {
		j.sys.Close()
		j.sys = nil
	}
}
