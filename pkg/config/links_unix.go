//go:build unix

package config

import (
	"os"
	"syscall"
)

// linksOf is how many names a file has.
func linksOf(info os.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink)
	}
	return 1
}
