package supervisor

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Output is the message with which supervisord copies what a process prints into its own log, at debug. The process is
// named without its group.
func Output(process, channel string, data []byte) string {
	text := string(data)
	if !utf8.Valid(data) {
		text = "Undecodable: b" + quoteBytes(data)
	}
	return Quote(process) + " " + channel + " output:\n" + text
}

// quoteBytes is Python's repr of bytes, after the b.
func quoteBytes(data []byte) string {
	var b strings.Builder
	quote := byte('\'')
	if text := string(data); strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	b.WriteByte(quote)
	for _, c := range data {
		switch {
		case c == '\\' || c == quote:
			b.Write([]byte{'\\', c})
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(quote)
	return b.String()
}
