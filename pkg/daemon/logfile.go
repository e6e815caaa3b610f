//go:build linux

package daemon

import (
	"fmt"
	"os"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/quiet"
)

// Logging is where a daemon's own log goes.
type Logging struct {
	// File gets the log; "" is stderr.
	File     string
	MaxBytes int64 // at which File is rotated; 0 never
	Backups  int
	Level    string
}

// Log is a daemon's logger and what may be changed of it while it runs.
type Log struct {
	*zap.Logger
	level zap.AtomicLevel
	file  *logFile // nil on stderr
}

// OpenLog makes the logger. Lines are for people: time, level, component, message, facts. An error that goes on is told now and then,
// with its count.
func OpenLog(l Logging) (*Log, error) {
	level, err := zap.ParseAtomicLevel(l.Level)
	if err != nil {
		return nil, fmt.Errorf("log level %q: %w", l.Level, err)
	}
	out := &Log{level: level}
	var sink zapcore.WriteSyncer = zapcore.Lock(os.Stderr)
	if l.File != "" {
		if out.file, err = newLogFile(l); err != nil {
			return nil, fmt.Errorf("open the log: %w", err)
		}
		sink = out.file
	}
	form := zap.NewProductionEncoderConfig()
	form.EncodeTime = zapcore.TimeEncoderOfLayout("2006-01-02 15:04:05.000")
	form.EncodeLevel = zapcore.CapitalLevelEncoder
	form.ConsoleSeparator = " "
	form.EncodeDuration = zapcore.StringDurationEncoder
	out.Logger = zap.New(quiet.Errors(zapcore.NewCore(zapcore.NewConsoleEncoder(form), sink, level)), zap.ErrorOutput(zapcore.Lock(os.Stderr)))
	return out, nil
}

// SetLevel changes what is logged from now on.
func (l *Log) SetLevel(name string) error {
	return l.level.UnmarshalText([]byte(name))
}

// Reopen opens the file anew, for whoever has moved it away.
func (l *Log) Reopen() error {
	if l.file == nil {
		return nil
	}
	l.file.mu.Lock()
	defer l.file.mu.Unlock()
	return l.file.reopenLocked()
}

// logFile is a file that is rotated to .1, .2 ... at a size.
type logFile struct {
	Logging
	mu   sync.Mutex
	file *os.File
	size int64
	half bool // the last line was cut off, by a full disk
	// stdio is true when stdout and stderr were sent into this file by our starter: they follow it,
	// so that the trace of a panic is found where the log is.
	stdio bool
}

func newLogFile(l Logging) (*logFile, error) {
	f := &logFile{Logging: l}
	file, err := openLog(l.File)
	if err != nil {
		return nil, err
	}
	f.stdio = sameFile(file, os.Stderr)
	f.file = file
	f.size = sizeOf(file)
	return f, nil
}

func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

func sizeOf(file *os.File) int64 {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

func (f *logFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.MaxBytes > 0 && f.size > 0 && f.size+int64(len(p)) > f.MaxBytes {
		if err := f.rotateLocked(); err != nil {
			fmt.Fprintf(os.Stderr, "rotate %s: %v\n", f.File, err) // and go on in the old file
		}
	}
	if f.half { // what was cut off stands alone
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		f.half = false
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	f.half = err != nil && n > 0
	return n, err
}

func (f *logFile) Sync() error { return nil } // a log is not worth a wait for the disk

// rotateLocked moves the file to .1, .1 to .2 and so on; without backups it is emptied. The next one is made first: where that is not
// possible, as on a full disk, everything stays as it is.
func (f *logFile) rotateLocked() error {
	if info, err := f.file.Stat(); err != nil || !info.Mode().IsRegular() {
		f.size = 0
		return err
	}
	if f.Backups == 0 {
		f.size = 0
		return f.file.Truncate(0)
	}
	next, err := openLog(f.File + ".next")
	if err != nil {
		return err
	}
	defer next.Close() // it is opened again by its name
	for i := f.Backups - 1; i > 0; i-- {
		err := os.Rename(fmt.Sprintf("%s.%d", f.File, i), fmt.Sprintf("%s.%d", f.File, i+1))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.Rename(f.File, f.File+".1"); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Rename(f.File+".next", f.File); err != nil {
		return err
	}
	return f.reopenLocked()
}

func (f *logFile) reopenLocked() error {
	file, err := openLog(f.File)
	if err != nil {
		return err
	}
	if f.stdio {
		for _, fd := range []int{1, 2} {
			if err := unix.Dup3(int(file.Fd()), fd, 0); err != nil {
				return fmt.Errorf("send stdio to %s: %w", f.File, err)
			}
		}
	}
	f.file.Close()
	f.file, f.size = file, sizeOf(file)
	return nil
}
