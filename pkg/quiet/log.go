package quiet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TimesField has in a log how often a thing has happened since the line that told of it before.
const TimesField = "times_since"

// Errors writes to a log, but a warning or an error that has the same cause as one before only now and then, with its count. The same
// are those that differ at most in the numbers within the text of their error: revisions, ports, durations.
func Errors(to zapcore.Core) zapcore.Core {
	return &errorCore{Core: to, counter: NewCounter(Most, time.Now)}
}

type errorCore struct {
	zapcore.Core
	counter *Counter
	with    []zapcore.Field
}

// With implements zapcore.Core.
func (c *errorCore) With(fields []zapcore.Field) zapcore.Core {
	return &errorCore{Core: c.Core.With(fields), counter: c.counter, with: slices.Concat(c.with, fields)}
}

// Check implements zapcore.Core.
func (c *errorCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *errorCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level < zapcore.WarnLevel || !slices.ContainsFunc(fields, isError) {
		return c.Core.Write(e, fields)
	}
	class := e.Level.String() + " " + e.LoggerName + " " + e.Message
	_, more, tell := c.counter.Count(class+" "+cause(slices.Concat(c.with, fields)), class)
	if !tell {
		return nil
	}
	if more > 0 {
		fields = append(slices.Clip(fields), zap.Int(TimesField, more))
	}
	return c.Core.Write(e, fields)
}

func isError(f zapcore.Field) bool { return f.Type == zapcore.ErrorType }

// cause is what fields say, without the numbers in their errors.
func cause(fields []zapcore.Field) string {
	all := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		if err, ok := f.Interface.(error); ok && isError(f) {
			all.AddString(f.Key, strings.Map(withoutDigits, err.Error()))
			continue
		}
		f.AddTo(all)
	}
	return fmt.Sprint(all.Fields) // sorted
}

func withoutDigits(r rune) rune {
	if r >= '0' && r <= '9' {
		return -1
	}
	return r
}
