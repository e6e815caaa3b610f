package config

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func touch(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("[supervisord]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSoloFindsItsFileAsSupervisordDoesUnlessOneOfOursIsNear(t *testing.T) {
	t.Setenv(EnvFile, "")
	cwd := t.TempDir()
	etc := filepath.Join(t.TempDir(), "distsuper.ini")
	o := Options{Cwd: cwd, EtcFile: etc}
	in := func(name string) string { return filepath.Join(cwd, name) }
	// Each is made after those that it goes before.
	for _, name := range []string{in("etc/supervisord.conf"), in("supervisord.conf"), etc, in(FileName)} {
		touch(t, name)
		if got, searched, err := FindSolo("", o); err != nil || got != name || !searched {
			t.Errorf("it finds %s, %v, %v; want %s", got, searched, err, name)
		}
	}
	t.Setenv(EnvFile, in("other.ini"))
	if got, searched, err := FindSolo("", o); err != nil || got != in("other.ini") || searched {
		t.Errorf("with %s set it finds %s, %v, %v", EnvFile, got, searched, err)
	}
	if got, searched, err := FindSolo("named.conf", o); err != nil || got != in("named.conf") || searched {
		t.Errorf("it finds %s, %v, %v for one that is named", got, searched, err)
	}
}

func TestSoloIsFoundByItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "supervisord.conf")
	touch(t, file)
	if _, ok := SoloEndpoint(file); ok {
		t.Fatal("one is found where none runs")
	}
	runtime, err := MakeSoloRuntime(file, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	if info, err := os.Stat(runtime); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory is %v, %v", info, err)
	}
	l, err := net.Listen("unix", SoloSocket(runtime))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	link := filepath.Join(t.TempDir(), "link.conf")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, link} {
		if got, ok := SoloEndpoint(name); !ok || got != "unix://"+SoloSocket(runtime) {
			t.Errorf("%s: %s, %v", name, got, ok)
		}
	}
	if _, ok := SoloEndpoint(file + "2"); ok {
		t.Error("it is found by another file")
	}
	l.Close()
	if _, ok := SoloEndpoint(file); ok {
		t.Error("it is found after its end")
	}
}

func TestCtlBesideASupervisordConfReadsItWhileSoloRunsIt(t *testing.T) {
	t.Setenv(EnvFile, "")
	cwd := t.TempDir()
	file := filepath.Join(cwd, "supervisord.conf")
	touch(t, file)
	o := Options{Cwd: cwd, EtcFile: filepath.Join(cwd, "none.ini"), Host: "h", Program: Ctl}
	if c, err := Load(o); err == nil {
		t.Errorf("without a solo it takes %s", c.File)
	}
	runtime, err := MakeSoloRuntime(file, os.Geteuid())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(runtime) })
	l, err := net.Listen("unix", SoloSocket(runtime))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := Load(o); err != nil || c.File != file {
		t.Errorf("beside a solo: %+v, %v", c, err)
	}
}
