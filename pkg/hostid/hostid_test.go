package hostid

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestACopiedDirectoryHasAnotherIdentityAndAReadOneStaysTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Read(dir); err != nil || again != first || first.BootID == "" || first.Directory == "" {
		t.Errorf("%+v, then %+v, %v", first, again, err)
	}
	if err := exec.Command("cp", "-a", dir, dir+"2").Run(); err != nil {
		t.Fatal(err)
	}
	second, err := Read(dir + "2")
	if err != nil || second.Directory == first.Directory {
		t.Errorf("%+v, the original's is %+v, %v", second, first, err)
	}
	if got := second.DeathOf(first); got != "" {
		t.Errorf("the original is taken for dead: %s", got)
	}
}

func TestSerialNumberIsReadWhereTheFirmwareHasOne(t *testing.T) {
	for _, c := range []struct {
		file, text string
		found      bool
	}{
		{"sys/class/dmi/id/product_uuid", "4C4C4544-0051-3510-8052-B4C04F4A4E31\n", true},
		{"proc/device-tree/serial-number", "10000000a1b2c3d4\x00", true},
		{"sys/class/dmi/id/product_uuid", "00000000-0000-0000-0000-000000000000\n", false},
		{"sys/class/dmi/id/product_uuid", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF\n", false},
		{"sys/class/dmi/id/product_uuid", "03000200-0400-0500-0006-000700080009\n", false},
		{"sys/class/dmi/id/product_uuid", "\n", false},
	} {
		root := t.TempDir()
		for name, text := range map[string]string{c.file: c.text, "proc/sys/kernel/random/boot_id": "b\n", "etc/machine-id": "abc\n"} {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		id, err := read(root, t.TempDir())
		if err != nil || (id.Hardware != "") != c.found || id.BootID != "b" || id.MachineID == "" || id.MachineID == "abc" {
			t.Errorf("%q: %+v, %v", c.text, id, err)
		}
	}
}
