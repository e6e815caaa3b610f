package self

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// envNote says that this process is to execute itself in the middle of acting on a signal, and then by which descriptor it goes on.
const envNote = "DISTSUPER_TEST_NOTE"

const answerFD = 3

func init() { runtime.LockOSThread() } // TestMain runs on the main thread

func TestMain(m *testing.M) {
	switch note := os.Getenv(envNote); note {
	case "":
		os.Exit(m.Run())
	case "begin":
		os.Exit(execWhileActing())
	default:
		fd, _ := strconv.Atoi(note)
		s := HearOn(fd, unix.SIGUSR1)
		s.Each(nil, func(os.Signal) { unix.Write(answerFD, []byte("next")); os.Exit(0) })
	}
}

// execWhileActing executes this binary while a signal is not acted on.
func execWhileActing() int {
	s, err := Hear(unix.SIGUSR1)
	if err != nil {
		return 1
	}
	acting := make(chan struct{})
	go s.Each(nil, func(os.Signal) {
		close(acting)
		select {}
	})
	unix.Kill(os.Getpid(), unix.SIGUSR1)
	<-acting
	os.Setenv(envNote, strconv.Itoa(s.Descriptor()))
	if KeepOnExec([]int{s.Descriptor(), answerFD}, true) == nil {
		Exec("/proc/self/exe", os.Args, os.Environ())
	}
	return 1
}

func TestASignalThatIsNotActedOnIsLeftToTheNextBinary(t *testing.T) {
	answers, answer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer answers.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env, cmd.ExtraFiles, cmd.Stderr = append(os.Environ(), envNote+"=begin"), []*os.File{answer}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answer.Close()
	defer cmd.Wait()
	defer cmd.Process.Kill()
	answers.SetReadDeadline(time.Now().Add(20 * time.Second))
	said := make([]byte, 10)
	if n, err := answers.Read(said); string(said[:n]) != "next" {
		t.Fatalf("it says %q: %v", said[:n], err)
	}
}
