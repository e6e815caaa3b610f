// Package hostid reads what tells this host, and its present boot, from every other: an api.HostIdentity.
package hostid

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
)

// Read reads the identity of the host on whose file system stateDir is; the directory is made when it is not there. What
// may not be read, as the serial number by others than root, stays empty: it only proves less then.
func Read(stateDir string) (api.HostIdentity, error) { return read("/", stateDir) }

// serials are where the firmware's serial number of the hardware is: with DMI, and in a device tree.
var serials = []string{"sys/class/dmi/id/product_uuid", "proc/device-tree/serial-number"}

func read(root, stateDir string) (id api.HostIdentity, err error) {
	if id.Name, err = os.Hostname(); err != nil {
		return id, fmt.Errorf("find this host's name: %w", err)
	}
	boot, err := os.ReadFile(filepath.Join(root, "proc/sys/kernel/random/boot_id"))
	if err != nil {
		return id, fmt.Errorf("read the boot id: %w", err)
	}
	id.BootID = strings.TrimSpace(string(boot))
	id.Clocks = strings.Join(strings.Fields(text(root, "proc/self/timens_offsets")), " ")
	id.MachineID = digest(text(root, "etc/machine-id"))
	for _, name := range serials {
		if serial := text(root, name); id.Hardware == "" && meaningful(serial) {
			id.Hardware = digest(serial)
		}
	}
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return id, fmt.Errorf("make the state directory: %w", err)
	}
	id.Directory, err = Directory(stateDir)
	return id, err
}

// Directory is what tells a state directory from a copy of it.
func Directory(stateDir string) (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(stateDir, &stat); err != nil {
		return "", fmt.Errorf("look at the state directory %s: %w", stateDir, err)
	}
	return fmt.Sprintf("%x:%d", stat.Dev, stat.Ino), nil
}

// text reads a small file in one spelling, "" when it cannot be read.
func text(root, name string) string {
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return ""
	}
	return strings.ToLower(strings.Trim(string(data), " \t\n\x00"))
}

// meaningful reports whether a serial number is one: vendors that gave none leave a filler.
func meaningful(serial string) bool {
	digits := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, serial)
	filler := digits == "" || strings.Count(digits, digits[:1]) == len(digits)
	return !filler && serial != "03000200-0400-0500-0006-000700080009"
}

// digest hides a number that its owner may want to keep to the host.
func digest(s string) string {
	if s == "" || s == "uninitialized" {
		return ""
	}
	sum := sha256.Sum256([]byte("distsuper " + s))
	return hex.EncodeToString(sum[:8])
}
