package solo

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/agentd/solo/mainlog"
	"github.com/distsuper/distsuper/pkg/daemon"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/pkg/supervisor"
)

// prepareProcess becomes the user and raises the limits, and returns what is to be logged of it. To hand raised limits to processes it
// starts the program again.
func (s *Solo) prepareProcess(a *account) (messages []string, err error) {
	messages, restart, err := raiseLimits(s.settings.Minfds, s.settings.Minprocs)
	if err != nil {
		return nil, err
	}
	if restart && os.Getenv(envRaised) == "" {
		return nil, s.startAgain(envRaised + "=" + strings.Join(messages, "\n"))
	}
	if before := os.Getenv(envRaised); before != "" {
		messages = strings.Split(before, "\n")
	}
	if a != nil {
		messages = append(messages, fmt.Sprintf("Set uid to user %d succeeded", a.uid))
	}
	return messages, a.switchTo()
}

// Check reports why a daemon with these settings could not start once the one that runs has stopped everything. The process that calls it
// ends then: its limits may have been raised.
func (s *Settings) Check() error {
	a, err := findAccount(s.User)
	if err == nil && os.Getuid() != 0 && os.Getuid() != a.userID() {
		err = usagef("%s", supervisor.NotRoot)
	}
	if err != nil {
		return err
	}
	if _, _, err := raiseLimits(s.Minfds, s.Minprocs); err != nil {
		return err
	}
	if runtime := os.Getenv(envRuntime); runtime != "" {
		if err := statedir.Check(runtime); err != nil {
			return err
		}
	}
	log, err := mainlog.Open(s.Supervisord)
	if err != nil {
		return daemon.Usage(err)
	}
	log.Close()
	return nil
}

// logStart logs what was found at the start, and removes AUTO logs of earlier daemons.
func (s *Solo) logStart(a *account, messages []string) {
	if a == nil && os.Getuid() == 0 {
		s.log.Critical("Supervisor is running as root.  Privileges were not dropped because no user is specified in the config file.  " +
			"If you intend to run as root, you can set user=root in the config file to avoid this message.")
	}
	logged := map[string]bool{} // both readers of the file may have the same warning
	for _, w := range s.settings.allWarnings() {
		if !logged[w] {
			s.log.Warn("%s", w)
		}
		logged[w] = true
	}
	for _, file := range s.settings.Included {
		s.log.Info("Included extra file \"%s\" during parsing", file)
	}
	for _, text := range messages {
		s.log.Info("%s", text)
	}
	if !s.settings.Nocleanup {
		if err := removeAutoLogs(s.settings.Childlogdir, s.settings.Identifier); err != nil {
			s.log.Warn("AUTO logs of an earlier daemon stay: %v", err)
		}
	}
}

// enterBackground is what supervisord does when it has gone there.
func (s *Solo) enterBackground() {
	s.log.Info("daemonizing the supervisord process")
	if dir := s.settings.Directory; dir != "" {
		if err := os.Chdir(dir); err != nil {
			s.log.Critical("can't chdir into %s: %v", supervisor.Quote(dir), err)
		} else {
			s.log.Info("set current directory: %s", supervisor.Quote(dir))
		}
	}
	unix.Umask(s.settings.Umask)
}
