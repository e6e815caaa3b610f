// Package mainlog is supervisord's own log ("main log" is supervisor's word for it): its format, its levels, its rotation, and syslog in
// place of a file.
//
// Lines go to the file and, in the foreground, to stdout. A log that cannot be written stops nobody.
package mainlog

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/keeper/logs"
	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/spec"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// Log is the main log. It is safe for concurrent use.
type Log struct {
	level    ini.Level
	stopping atomic.Bool

	mu   sync.Mutex   // guards what follows
	file *rotating    // nil without
	out  io.Writer    // stdout; nil without
	sys  *logs.Syslog // nil without
}

// Open opens the log that the settings name, and stdout in the foreground unless it is to be silent.
func Open(s spec.Supervisord) (*Log, error) {
	l := &Log{level: s.Loglevel}
	if s.Nodaemon && !s.Silent {
		l.out = os.Stdout
		appendTo(os.Stdout)
	}
	if s.Logfile == spec.LogfileSyslog {
		l.sys = newSyslog("")
		return l, nil
	}
	var err error
	if l.file, err = openRotating(s.Logfile, s.LogfileMaxBytes, s.LogfileBackups); err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return l, nil
}

// SyslogTag is supervisord's name in syslog.
const SyslogTag = "supervisord"

// newSyslog sends the log to the syslog at a socket, the host's when empty. Nobody is left to be told when that is away:
// supervisord, too, goes on without.
func newSyslog(socket string) *logs.Syslog { return logs.NewSyslog(socket, SyslogTag, zap.NewNop()) }

// appendTo has lines come after whatever is in a file, when stdout is one: processes that log to /dev/stdout open it
// anew, and each would write over the other's.
func appendTo(file *os.File) {
	flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0)
	if err == nil {
		_, _ = unix.FcntlInt(file.Fd(), unix.F_SETFL, flags|unix.O_APPEND) // what cannot is no file
	}
}

// Printf writes one line, unless its level is below that of the log.
func (l *Log) Printf(level ini.Level, format string, args ...any) {
	if level < l.level {
		return
	}
	text := fmt.Sprintf(format, args...)
	now := time.Now()
	line := fmt.Sprintf("%s,%03d %s %s\n", now.Format("2006-01-02 15:04:05"), now.Nanosecond()/1e6, level.Code(), text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out != nil {
		io.WriteString(l.out, line) // nobody is left to be told that stdout is gone
	}
	if l.file != nil {
		if err := l.file.write(line); err != nil && l.out == nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", l.file.path, err)
		}
	}
	if l.sys != nil {
		l.sys.Send("", []byte(line))
	}
}

// Output logs what a process printed, as supervisord does at debug.
func (l *Log) Output(process, channel string, data []byte) {
	l.Printf(ini.LevelDebug, "%s", supervisor.Output(api.ProcessName(process), channel, data))
}

// Info writes one line at that level.
func (l *Log) Info(format string, args ...any) { l.Printf(ini.LevelInfo, format, args...) }

// Warn writes one line at that level.
func (l *Log) Warn(format string, args ...any) { l.Printf(ini.LevelWarn, format, args...) }

// Error writes one line at that level.
func (l *Log) Error(format string, args ...any) { l.Printf(ini.LevelError, format, args...) }

// Critical writes one line at that level.
func (l *Log) Critical(format string, args ...any) { l.Printf(ini.LevelCritical, format, args...) }

// Reopen opens the file by its name, for whoever has moved it away.
func (l *Log) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.file.reopen()
}

// SetStopping says that everything is being stopped: what components report because of it is no longer worth a warning.
func (l *Log) SetStopping() { l.stopping.Store(true) }

// Debug reports whether messages of level debug are written.
func (l *Log) Debug() bool { return l.level <= ini.LevelDebug }

// Close ends the log; what is written afterwards is lost.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.file.Close()
		l.file = nil
	}
	if l.sys != nil {
		l.sys.Close()
		l.sys = nil
	}
}
