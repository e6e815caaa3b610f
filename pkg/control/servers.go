package control

import (
	"fmt"
	"slices"
	"strings"
)

// Servers are what a fleet itself rests on: its controllers, and the members of its etcd.
type Servers struct {
	Controllers []string // those that are registered
	Votes       int      // members of etcd that vote
	Silent      []string // endpoints of members that do not answer
	Own         bool     // etcd is distsuperd's own, on the hosts of the controllers
	// Timeouts are the touch_timeouts, in seconds, of the processes that end before their lease does.
	Timeouts []int
}

// threeServers is the number of members of which etcd can lose one.
const threeServers = 3

// Only is the controller whose host is the only server: with it etcd is lost and nobody is left to promise anything, so that processes
// are stopped. "" when there is none, or nothing would be stopped.
func (s Servers) Only() string {
	if !s.Fragile() || len(s.Controllers) != 1 {
		return ""
	}
	return s.Controllers[0]
}

// Fragile reports whether processes are stopped without etcd and it does not survive the loss of a member: then it counts how many
// controllers there are.
func (s Servers) Fragile() bool { return s.Votes > 0 && s.Votes < threeServers && len(s.Timeouts) > 0 }

// Warnings are what is to be said of them, a line each.
func (s Servers) Warnings() []string {
	var lines []string
	if only := s.Only(); only != "" {
		more := "three members of etcd and three distsuperd survive the loss of any one host"
		if s.Own {
			more = "of three servers any one may be lost: distsuperctl init config --join --voter ADDRESS makes the file of another one"
		}
		lines = append(lines, fmt.Sprintf("%s is the only controller, and etcd has no more than %s: if their host is lost, processes stop after %s (touch_timeout); %s",
			only, count(s.Votes, "vote"), seconds(s.Timeouts), more))
	}
	if up := s.Votes - len(s.Silent); len(s.Silent) > 0 && up > s.Votes/2 {
		what := "bring it back, or replace it by another member"
		if s.Own {
			what = "start distsuperd there; a host that is lost for good is replaced after distsuperctl members replace NAME"
		}
		lines = append(lines, fmt.Sprintf("%d of %d members of etcd answer, and %s: %s", up, s.Votes, s.spare(up, strings.Join(s.Silent, ", ")), what))
	}
	return lines
}

// spare says what the loss of one member more means while those answer.
func (s Servers) spare(up int, silent string) string {
	if up-1 > s.Votes/2 {
		return silent + " does not"
	}
	return silent + " does not; if one more is lost, etcd stops"
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// seconds is a span of numbers of seconds.
func seconds(all []int) string {
	least, most := slices.Min(all), slices.Max(all)
	if least == most {
		return fmt.Sprintf("%d s", most)
	}
	return fmt.Sprintf("%d to %d s", least, most)
}
