package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/test/fleet"
)

// twins tries to have one set of programs run twice: by two supervisors of one file, through a swept folder, and by a copy of a machine.
func twins(ctx context.Context, s *stage) error {
	if err := s.supervisors(ctx); err != nil {
		return err
	}
	return s.copied(ctx)
}

// theFile has one program, which notes each of its starts.
const theFile = "[supervisord]\nnodaemon=true\nlogfile=%(here)s/d.log\npidfile=%(here)s/d.pid\nchildlogdir=%(here)s\n" +
	"[program:a]\ncommand=sh -c 'echo $$ >> %(here)s/starts; exec sleep 1000'\n"

// supervisors begins two supervisors of one file, in each order that can be told.
func (s *stage) supervisors(ctx context.Context) error {
	file := filepath.Join(s.Dir, "supervisord.conf")
	if err := os.WriteFile(file, []byte(theFile), 0o600); err != nil {
		return err
	}
	solo := func() *exec.Cmd {
		return exec.CommandContext(ctx, filepath.Join(s.Bin, "distsuperd"), "solo", "-n", "-c", file)
	}
	refused := func(promised string, first int) {
		out, err := solo().CombinedOutput()
		var exit *exec.ExitError
		held := errors.As(err, &exit) && exit.ExitCode() == 2 && strings.Contains(string(out), fmt.Sprintf("pid %d", first)) && len(s.starts()) == 1
		s.found(promised, held, "%v: %s; started %d times", err, strings.TrimSpace(string(out)), len(s.starts()))
	}
	if path, err := exec.LookPath("supervisord"); err == nil {
		err := s.beside(ctx, exec.CommandContext(ctx, path, "-c", file), func(pid int) error {
			refused("solo does not start beside a supervisord of its file, and names it", pid)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.beside(ctx, solo(), func(pid int) error {
		refused("solo does not start beside another one, and names it", pid)
		runtime := config.SoloRuntime(file, os.Geteuid())
		away := runtime + ".swept"
		if err := errors.Join(os.Rename(runtime, away), os.RemoveAll(away), os.Remove(filepath.Join(s.Dir, "d.pid"))); err != nil {
			return err
		}
		refused("nor when its folder and pid file were swept", pid)
		err := fleet.Until(ctx, patience, "it is found again", func() (bool, string) {
			out, err := exec.CommandContext(ctx, filepath.Join(s.Bin, "distsuperctl"), "-c", file, "status").CombinedOutput()
			text, _ := os.ReadFile(filepath.Join(s.Dir, "d.pid"))
			return err == nil && strings.TrimSpace(string(text)) == fmt.Sprint(pid), string(out)
		})
		s.found("what was swept is made again by the living daemon", err == nil && len(s.starts()) == 1, "%s", orElse(err, "distsuperctl status works, the pid file is there"))
		return nil
	})
}

// starts are the starts of the program.
func (s *stage) starts() []string {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "starts"))
	return strings.Fields(string(text))
}

// beside does something while a supervisor runs the program.
func (s *stage) beside(ctx context.Context, supervisor *exec.Cmd, do func(pid int) error) error {
	os.Remove(filepath.Join(s.Dir, "starts"))
	if err := supervisor.Start(); err != nil {
		return err
	}
	defer func() {
		supervisor.Process.Signal(unix.SIGTERM)
		supervisor.Wait()
	}()
	err := fleet.Until(ctx, patience, "the first one runs the program", func() (bool, string) {
		_, err := os.Stat(filepath.Join(s.Dir, "d.pid"))
		return err == nil && len(s.starts()) == 1, fmt.Sprint(s.starts())
	})
	if err != nil {
		return err
	}
	return do(supervisor.Process.Pid)
}

// copied starts a copy of a machine's state on what looks like another host, while the machine lives and when it is cut off.
func (s *stage) copied(ctx context.Context) error {
	dir := filepath.Join(s.Dir, "fleet")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	f, err := fleet.Start(ctx, fleet.Options{Dir: dir, Bin: s.Bin, Witness: s.Witness, Controllers: 1, Machines: 1})
	if err != nil {
		return err
	}
	defer f.Close()
	kept := f.Witness("kept")
	kept.Machines, kept.TouchTimeout = []string{"m1"}, 5
	if _, err := f.Client.Create(ctx, kept); err != nil {
		return err
	}
	if err := fleet.Until(ctx, patience, "it runs", f.Where(ctx, 1, fleet.Runs)); err != nil {
		return err
	}
	bin, err := s.disguise("other", asOtherHost)
	if errors.Is(err, errors.ErrUnsupported) {
		return s.once(f)
	}
	if err != nil {
		return err
	}
	c, twin, err := machineAs(f.Machines[0], filepath.Join(s.Dir, "copy"), bin)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := exec.CommandContext(ctx, "cp", "-a", filepath.Join(f.Machines[0].Dir, ".distsuper"), twin.Dir).Run(); err != nil {
		return err
	}
	r := twin.Run(ctx, "distsuperagent", "start")
	said := strings.Contains(r.Stderr, "this is host twinhost") && strings.Contains(r.Stderr, "--as NEWNAME")
	s.found("a copy of a living machine's state does not start, and says the ways on", r.Code != 0 && said, "exit %d: %s", r.Code, strings.TrimSpace(r.Stderr))
	if _, err := f.Machines[0].Must(ctx, "distsuperagent", "stop"); err != nil { // its keeper goes on
		return err
	}
	silent := func(p client.Process) bool { return !fleet.Runs(p) }
	if err := fleet.Until(ctx, patience, "its lease has run out", f.Where(ctx, 1, silent)); err != nil {
		return err
	}
	r = twin.Run(ctx, "distsuperagent", "start")
	err = fleet.Until(ctx, patience, "it waits for a proof", f.Where(ctx, 1, func(p client.Process) bool {
		return p.Status != nil && !p.Status.Released && p.Owner != nil && p.Owner.WaitingFor == api.WaitingForProof
	}))
	s.found("nor does it run what a silent machine keeps", r.Code == 0 && err == nil, "exit %d; %s", r.Code, orElse(err, "it waits for a proof"))
	return s.once(f)
}
