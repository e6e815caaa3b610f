package sim

import (
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// Line is something that happened, for people.
type Line struct {
	At   time.Duration
	Who  string
	Text string
}

func (w *World) tell(who, format string, args ...any) {
	if w.cfg.Story {
		w.story = append(w.story, Line{w.now, who, fmt.Sprintf(format, args...)})
	}
}

// Story is what happened, of a World that keeps it.
func (w *World) Story() []Line { return w.story }

// WriteStory writes a timeline.
func WriteStory(out io.Writer, story []Line) {
	for _, l := range story {
		fmt.Fprintf(out, "%10.3f  %-8s %s\n", l.At.Seconds(), l.Who, l.Text)
	}
}

// storyLog is the log of the product's Steps as part of the story. Daemons name themselves by the first part of their logger's name.
type storyLog struct {
	w      *World
	fields []zapcore.Field
}

func (s storyLog) Enabled(l zapcore.Level) bool { return l >= zapcore.InfoLevel }
func (s storyLog) Sync() error                  { return nil }

func (s storyLog) With(fields []zapcore.Field) zapcore.Core {
	return storyLog{s.w, append(s.fields[:len(s.fields):len(s.fields)], fields...)}
}

func (s storyLog) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if s.Enabled(e.Level) {
		return c.AddCore(e, s)
	}
	return c
}

func (s storyLog) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	var b strings.Builder
	b.WriteString(e.Message)
	for _, f := range append(s.fields[:len(s.fields):len(s.fields)], fields...) {
		f.AddTo(enc)
		fmt.Fprintf(&b, " %s=%v", f.Key, enc.Fields[f.Key])
	}
	who, _, _ := strings.Cut(e.LoggerName, ".")
	s.w.tell(who, "%s", b.String())
	return nil
}
