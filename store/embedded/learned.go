package embedded

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/statedir"
)

// learned is the file of a daemon's state directory that keeps where the members of etcd are, as they said last.
const learned = "etcd-endpoints"

// Ours reports whether an etcd's authority, the name of a file or the PEM text itself, is one that a distsuperd made.
func Ours(ca string) bool {
	text := []byte(ca)
	if !strings.Contains(ca, "-----BEGIN ") {
		text, _ = os.ReadFile(ca)
	}
	cert, err := pki.ParseCert(text)
	return err == nil && cert.Subject.CommonName == authority
}

// Learn keeps the endpoints for the next start.
func Learn(stateDir string, endpoints []string) error {
	return statedir.WriteFile(filepath.Join(stateDir, learned), []byte(strings.Join(endpoints, "\n")+"\n"))
}

// Learned are those that were kept, and after them the ones of the configuration, which may be of former times.
func Learned(stateDir string, configured []string) []string {
	b, _ := os.ReadFile(filepath.Join(stateDir, learned)) // none yet, or not to be read: the others serve
	out := strings.Fields(string(b))
	for _, e := range configured {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	return out
}
