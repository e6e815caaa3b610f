package embedded

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxLog is the size from which the log is put aside at the next start. It holds warnings only.
const maxLog = 10 << 20

func (d Dir) openLog() (*os.File, error) {
	if st, err := os.Stat(d.Log()); err == nil && st.Size() > maxLog {
		if err := os.Rename(d.Log(), d.Log()+".1"); err != nil {
			return nil, fmt.Errorf("rotate log of the embedded etcd: %w", err)
		}
	}
	f, err := os.OpenFile(d.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of the embedded etcd: %w", err)
	}
	return f, nil
}

// ended is the error of a child that ended: how, and the last words of its log.
func (d Dir) ended(how string) error {
	if full := d.diskTrouble(); full != "" {
		return fmt.Errorf("embedded etcd ended (%s): %s", how, full)
	}
	if words := d.lastWords(); words != "" {
		return fmt.Errorf("embedded etcd ended (%s): %s; see %s", how, words, d.Log())
	}
	return fmt.Errorf("embedded etcd ended (%s); see %s", how, d.Log())
}

// lastWords is the last error in the log, or its last line when there is none since the last start.
func (d Dir) lastWords() string {
	f, err := os.Open(d.Log())
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, st.Size()-32<<10), io.SeekStart) // else from the start
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	last := ""
	for i := len(lines) - 1; i >= 0; i-- {
		var l struct{ Level, Msg, Error string }
		if json.Unmarshal([]byte(lines[i]), &l) != nil {
			if last == "" || strings.HasPrefix(lines[i], "panic: ") {
				last = lines[i]
			}
			continue
		}
		switch l.Level {
		case "fatal", "panic", "error":
			return strings.TrimRight(l.Msg+": "+l.Error, ": ")
		case "info": // a start
			return last
		}
	}
	return last
}
