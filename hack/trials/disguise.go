package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/distsuper/distsuper/test/cluster"
)

// What makes this host look like another one, or like itself after another boot, to those who run in namespaces of their own. The
// argument is a folder with a boot id and a machine id.
const (
	asRebooted  = "mount --bind %[1]s/boot_id /proc/sys/kernel/random/boot_id"
	asOtherHost = asRebooted + " && mount --bind %[1]s/machine-id /etc/machine-id && " +
		"{ [ ! -e /sys/class/dmi/id/product_uuid ] || mount --bind %[1]s/boot_id /sys/class/dmi/id/product_uuid; } && hostname twinhost"
)

// disguise makes a folder of binaries that run on what looks like another host or boot. Where that cannot be had the error is
// errors.ErrUnsupported.
func (s *stage) disguise(name, as string) (bin string, err error) {
	dir := filepath.Join(s.Dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	files := map[string]string{"boot_id": "11111111-2222-4333-8444-555555555555\n", "machine-id": "0123456789abcdef0123456789abcdef\n"}
	for _, program := range []string{"distsuperd", "distsuperagent", "distsuperctl"} {
		files[program] = fmt.Sprintf("#!/bin/sh\nexec unshare --mount --uts sh -c '%s && exec %s \"$@\"' sh \"$@\"\n",
			fmt.Sprintf(as, dir), filepath.Join(s.Bin, program))
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil {
			return "", err
		}
	}
	probe := exec.Command("unshare", "--mount", "--uts", "sh", "-c", fmt.Sprintf(as, dir))
	if out, err := probe.CombinedOutput(); err != nil {
		return "", fmt.Errorf("this host cannot look like another: %w: %v: %s", errors.ErrUnsupported, err, out)
	}
	return dir, nil
}

// machineAs is a machine with another one's configuration, below a folder, that runs other binaries.
func machineAs(m *cluster.Node, dir, bin string) (*cluster.Cluster, *cluster.Node, error) {
	ini, err := os.ReadFile(filepath.Join(m.Dir, "distsuper.ini"))
	if err != nil {
		return nil, nil, err
	}
	c := cluster.New(dir, bin)
	n, err := c.Node(m.Name, string(ini))
	return c, n, err
}
