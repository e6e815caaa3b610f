package embedded

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distsuper/distsuper/pkg/statedir"
)

// maxSocket is the longest path that fits the address of a unix socket, with its final zero.
const maxSocket = 107

// Dir is where everything of one embedded etcd lies, below the daemon's state directory.
type Dir string

// DirOf is the directory of the embedded etcd of a state directory.
func DirOf(stateDir string) (Dir, error) {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return "", fmt.Errorf("embedded etcd in %s: %w", stateDir, err)
	}
	return Dir(filepath.Join(abs, "etcd")), nil
}

func (d Dir) file(name string) string { return filepath.Join(string(d), name) }

// Data is etcd's own directory.
func (d Dir) Data() string { return d.file("data") }

// Log is the file that the child writes to.
func (d Dir) Log() string { return d.file("etcd.log") }

// PidFile is locked by the child as long as it lives.
func (d Dir) PidFile() string { return d.file("etcd.pid") }

// Peer is the file of a certificate or key of the peer port, PeerPort the one that remembers the port.
func (d Dir) Peer(name string) string { return d.file("peer-" + name) }

// TLS is a file of the certificates for clients on TCP.
func (d Dir) TLS(name string) string { return filepath.Join(string(d), "tls", name) }

// Make creates the directory, for its owner only.
func (d Dir) Make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("make %s: %w", d, err)
	}
	if err := os.Chmod(string(d), 0o700); err != nil {
		return fmt.Errorf("make %s private: %w", d, err)
	}
	return nil
}

// Socket is the path of the client socket: in the directory or, where that is too long for an address, a
// short one below the runtime directory. The choice is written down at the first start, so that a caller
// with another environment finds the same.
func (d Dir) Socket() string {
	if b, err := os.ReadFile(d.file("socket")); err == nil && len(b) > 0 {
		return strings.TrimSpace(string(b))
	}
	if path := d.file("client.sock"); len(path) <= maxSocket {
		return path
	}
	sum := sha256.Sum256([]byte(d))
	return filepath.Join(runtimeDir(), hex.EncodeToString(sum[:8])+".sock")
}

// MakeSocketDir creates the directory of the socket, writes the choice down, and returns the path.
func (d Dir) MakeSocketDir() (string, error) {
	path := d.Socket()
	dir := filepath.Dir(path)
	if dir != string(d) {
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) {
			return "", fmt.Errorf("make a directory for the socket of the embedded etcd: %w", err)
		}
		if err := private(dir); err != nil {
			return "", err
		}
	}
	if len(path) > maxSocket {
		return "", fmt.Errorf("socket %s of the embedded etcd: longer than %d bytes; set XDG_RUNTIME_DIR to a shorter path",
			path, maxSocket)
	}
	return path, statedir.WriteFile(d.file("socket"), []byte(path+"\n"))
}

func runtimeDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "distsuper")
	}
	if os.Getuid() == 0 {
		return "/run/distsuper"
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("distsuper-%d", os.Getuid()))
}

// Endpoint is the address of the embedded etcd's socket, whether it runs or not, as etcd.Config wants it.
func Endpoint(stateDir string) (string, error) {
	d, err := DirOf(stateDir)
	if err != nil {
		return "", err
	}
	return "unix://" + d.Socket(), nil
}
