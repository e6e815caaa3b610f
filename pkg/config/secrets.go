package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/ini"
	"github.com/distsuper/distsuper/pkg/ownership"
	"github.com/distsuper/distsuper/pkg/visible"
)

// privateKeys are the settings that may hold one, by section.
var privateKeys = map[string][]string{"etcd": {"key"}, "embedded-etcd": {"ca_key", "peer_ca_key"}}

// secrets looks for secrets in files that every user of this machine can read. A private key there is refused: with the
// one of a join file anybody runs commands on the whole fleet. Of passwords people are warned: that file may hold them for
// a server that listens on this machine alone.
func secrets(file *ini.File) (warnings []string, err error) {
	var errs []error
	for _, s := range file.Sections() {
		for _, key := range s.Keys() {
			v, _ := s.Get(key)
			private := slices.Contains(privateKeys[s.Name], key) && strings.HasPrefix(v.Text, "-----BEGIN ")
			if !private && key != "password" || v.Text == "" || v.File == "" || !ownership.ReadableByAll(v.File) {
				continue
			}
			text := fmt.Sprintf("every user of this machine can read it; run `chmod o-rwx %s`", visible.Word(v.File))
			if private {
				errs = append(errs, s.Errorf(key, "%s", text))
				continue
			}
			warnings = append(warnings, s.Errorf(key, "%s", text).Error())
		}
	}
	return warnings, errors.Join(errs...)
}
