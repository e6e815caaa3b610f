package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/distsuper/distsuper/pkg/ownership"
)

// SupervisorFiles are the files in which supervisord looks for its configuration when nobody names one, in its order.
func SupervisorFiles(executable, cwd string) []string {
	near := filepath.Dir(filepath.Dir(executable))
	return []string{filepath.Join(near, "etc", "supervisord.conf"), filepath.Join(near, "supervisord.conf"),
		filepath.Join(cwd, "supervisord.conf"), filepath.Join(cwd, "etc", "supervisord.conf"),
		"/etc/supervisord.conf", "/etc/supervisor/supervisord.conf"}
}

// FindSolo finds the file of distsuperd solo: the one named, else one of distsuper's, else one of supervisord's.
// searched is true when nobody named it. "" is none; the error names where it was looked for.
func FindSolo(named string, o Options) (file string, searched bool, err error) {
	if o, err = o.withDefaults(); err != nil {
		return "", false, err
	}
	if named == "" {
		named = os.Getenv(EnvFile)
	}
	if file, err = find(named, o.Cwd, o.EtcFile); file != "" || err != nil {
		return file, named == "", err
	}
	if file = supervisorFile(o.Cwd); file != "" {
		err = checkFound(file, os.Geteuid())
	}
	return file, true, err
}

// supervisorFile is the first of supervisord's files that is there, "" for none.
func supervisorFile(cwd string) string {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	for _, name := range SupervisorFiles(executable, cwd) {
		if info, err := os.Stat(name); err == nil && !info.IsDir() {
			return name
		}
	}
	return ""
}

// soloSocket is the socket at which solo's store answers, below its runtime directory.
const soloSocket = "store.sock"

// SoloRuntime is the private directory of the distsuperd solo that runs a configuration file for a user: sockets, a lock
// and what the next one must know to end what a killed one left. It is named by the file's path, so that whoever has the
// file finds it.
func SoloRuntime(file string, uid int) string {
	return filepath.Join(soloBase(uid), soloName(file))
}

// soloBase is the directory of a user's runtime directories. Not the session's (XDG_RUNTIME_DIR), of which
// cron and sudo know nothing.
func soloBase(uid int) string {
	if uid == 0 {
		return "/run/distsuper-solo"
	}
	return "/tmp/distsuper-solo-" + strconv.Itoa(uid)
}

func soloName(file string) string {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	sum := sha256.Sum256([]byte(file))
	return hex.EncodeToString(sum[:8])
}

// SoloSocket is where the store of a runtime directory's solo answers.
func SoloSocket(runtime string) string { return filepath.Join(runtime, soloSocket) }

// SoloShutdown is the command that ends the distsuperd solo which answers at an endpoint. It does not name the file, which may
// lead distsuperctl to a fleet.
func SoloShutdown(endpoint string) string {
	return "distsuperctl --etcd-endpoints " + endpoint + " shutdown"
}

// SoloEndpoint is the endpoint of the distsuperd solo that runs a configuration file now, as etcd.Open takes it; ok is
// false when none does that we may speak to. Root finds only those that root started, which may run as another user now; others
// find also that of the file's owner, who may have let them in.
func SoloEndpoint(file string) (endpoint string, ok bool) {
	if file == "" {
		return "", false
	}
	users := []int{0}
	if uid := os.Geteuid(); uid != 0 {
		users = append(users, uid)
		if owner, ok := ownership.Owner(file); ok {
			users = append(users, owner)
		}
	}
	for _, uid := range users {
		if ownership.CheckPath(soloBase(uid), uid) != nil {
			continue
		}
		path := SoloSocket(SoloRuntime(file, uid))
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			conn.Close()
			return "unix://" + path, true
		}
	}
	return "", false
}

// MakeSoloRuntime makes the runtime directory of a file's solo, which will run as uid, and returns its path.
func MakeSoloRuntime(file string, uid int) (string, error) {
	runtime := SoloRuntime(file, os.Geteuid())
	// Others may pass: solo may run as another user, or have let somebody in. Its own directory is closed.
	base, mode := filepath.Dir(runtime), os.FileMode(0o711)
	if os.Geteuid() == 0 {
		mode = 0o755
	}
	if err := os.MkdirAll(base, mode); err != nil {
		return "", fmt.Errorf("make the runtime directory: %w", err)
	}
	if err := ownership.CheckPath(base, os.Geteuid()); err != nil {
		return "", fmt.Errorf("the runtime directory: %w", err)
	}
	if err := os.Mkdir(runtime, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", fmt.Errorf("make the runtime directory: %w", err)
	}
	if os.Geteuid() != 0 {
		if err := os.Chmod(base, mode); err != nil { // an earlier version, or the umask, has closed it
			return "", fmt.Errorf("make the runtime directory: %w", err)
		}
		return runtime, nil
	}
	if err := handOver(runtime, uid); err != nil {
		return "", fmt.Errorf("hand the runtime directory over: %w", err)
	}
	return runtime, nil
}

// handOver makes a runtime directory, and what an earlier solo left in it, a user's. A file that has another name, too,
// is removed: whom the directory belonged to could have made it, to be given a file of somebody else's.
func handOver(runtime string, uid int) error {
	// Root's for the time being: nobody changes what is in it between a look and a chown.
	if err := os.Lchown(runtime, 0, -1); err != nil {
		return err
	}
	entries, err := os.ReadDir(runtime)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(runtime, e.Name())
		info, err := os.Lstat(path)
		switch {
		case err != nil:
			return err
		case info.IsDir() || linksOf(info) > 1:
			err = os.RemoveAll(path)
		default:
			err = os.Lchown(path, uid, -1)
		}
		if err != nil {
			return err
		}
	}
	return os.Lchown(runtime, uid, -1)
}

// ErrNoSoloFile says that there is no file for distsuperd solo.
var ErrNoSoloFile = errors.New("no " + FileName + " here, no " + EtcFile + " and no supervisord.conf at supervisord's usual places; name one with -c FILE")
