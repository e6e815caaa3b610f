//go:build unix

package config

import (
	"os"
	"strings"
	"testing"
)

func TestSecretsInAFileThatAllCanRead(t *testing.T) {
	const key = "[etcd]\nendpoints = https://e:2379\ncert = /c.pem\nkey = -----BEGIN PRIVATE KEY-----\n  QUJD\n  -----END PRIVATE KEY-----\n"
	for _, c := range []struct {
		name, text    string
		mode          os.FileMode
		refused, warn string // parts of what is said
	}{
		{"a private key", key, 0o644, "[etcd] key: every user of this machine can read it; run `chmod o-rwx ", ""},
		{"a private key for root and its group", key, 0o640, "", ""},
		{"a private key's file", "[etcd]\nendpoints = https://e:2379\ncert = /c.pem\nkey = /k.pem\n", 0o644, "", ""},
		{"the key of an authority", "[embedded-etcd]\npeer_ca_key = -----BEGIN PRIVATE KEY-----\n  QUJD\n  -----END PRIVATE KEY-----\n", 0o644,
			"[embedded-etcd] peer_ca_key: every user of this machine can read it", ""},
		{"etcd's password", "[etcd]\nusername = a\npassword = b\n", 0o644, "", "[etcd] password: every user"},
		{"etcd's password, kept", "[etcd]\nusername = a\npassword = b\n", 0o600, "", ""},
		{"a web password", "[inet_http_server]\nport = 9001\nusername = a\npassword = b\n", 0o604, "", "[inet_http_server] password: every user"},
		{"no password", "[inet_http_server]\nport = 9001\npassword =\n", 0o644, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if err := os.Chmod(w.write(FileName, c.text), c.mode); err != nil {
				t.Fatal(err)
			}
			cfg, err := w.load(Ctl)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("%v, want %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(cfg.Warnings, "\n")
			if c.warn == "" && strings.Contains(said, "every user") || !strings.Contains(said, c.warn) {
				t.Errorf("warnings %q, want %q", said, c.warn)
			}
		})
	}
}
