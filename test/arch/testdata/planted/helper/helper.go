// Package helper does I/O where nobody looks for it.
package helper

import (
	"os"

	"planted.example/config"
)

// Name is what a file says, or a setting.
func Name() string {
	if text := read("name"); text != "" {
		return text
	}
	return config.Default
}

func read(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}
