package solo

import "github.com/distsuper/distsuper/pkg/beside"

// refuseBesideSupervisord keeps the programs of the file from running twice: here, and under a supervisord, or another daemon, that
// already serves the file.
func (s *Settings) refuseBesideSupervisord() error {
	other, found := beside.File{Path: s.File, Pidfile: s.Pidfile, Servers: s.servers, ServerURL: s.serverURL}.Look()
	if !found {
		return nil
	}
	return usagef("%s, and the programs would run twice; stop it first (%s)", other.Found, other.Stop)
}
