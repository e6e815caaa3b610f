package mainlog

import (
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/distsuper/distsuper/pkg/ini"
)

// Logger is the log for controller, agent and keeper. What becomes of processes is logged in supervisord's words, so of
// their own messages only warnings and errors are shown, and all of them at debug.
func (l *Log) Logger() *zap.Logger {
	form := zapcore.EncoderConfig{MessageKey: "m", NameKey: "n", ConsoleSeparator: ": ", EncodeName: zapcore.FullNameEncoder,
		EncodeDuration: zapcore.StringDurationEncoder}
	least := zapcore.WarnLevel
	if l.Debug() {
		least = zapcore.DebugLevel
	}
	return zap.New(&zapCore{LevelEnabler: least, enc: zapcore.NewConsoleEncoder(form), log: l})
}

// zapCore writes zap's messages into the main log.
type zapCore struct {
	zapcore.LevelEnabler
	enc zapcore.Encoder
	log *Log
}

func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	enc := c.enc.Clone()
	for _, f := range fields {
		f.AddTo(enc)
	}
	return &zapCore{c.LevelEnabler, enc, c.log}
}

func (c *zapCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
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
	case e.Level == zapcore.WarnLevel && !c.log.stopping.Load():
		level = ini.LevelWarn
	}
	c.log.Printf(level, "%s", strings.TrimSuffix(text.String(), "\n"))
	return nil
}

func (c *zapCore) Sync() error { return nil }
