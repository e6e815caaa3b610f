//go:build !linux

package beside

import "github.com/distsuper/distsuper/pkg/ini"

// Look is not known here: no daemon runs.
func (f File) Look() (Supervisor, bool) { return Supervisor{}, false }

// Of is nothing here.
func Of(*ini.File, string) File { return File{} }
