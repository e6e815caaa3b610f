package contact

import (
	"fmt"
	"strings"
	"time"
)

// String is all of it in one line.
func (c Contact) String() string {
	if lines := c.Lines(); len(lines) > 0 {
		return "etcd " + c.Etcd() + ": " + strings.Join(lines, "; ")
	}
	return "etcd " + c.Etcd()
}

// Etcd says when etcd last answered, as what follows the word etcd.
func (c Contact) Etcd() string {
	since := Span(c.Since())
	switch c.State {
	case StateAnswers:
		return "answered " + since + " ago"
	case StateSilent:
		return "silent for " + since
	case StatePaused:
		return "answered last " + since + " ago, and is not asked now"
	case StateUnasked:
		return "answered last " + since + " ago, and no agent asks it now"
	}
	return "unknown: no lease is held here"
}

// Mark says whose knowledge something is, and how old, where it is shown in the place of what etcd would say.
func (c Contact) Mark() string { return "reported by the " + string(c.From) + "; etcd " + c.Etcd() }

// Lines says what this means for the processes of the machine, a sentence for each kind. While etcd answers that is nothing, but
// for processes that were, or are being, stopped because it did not.
func (c Contact) Lines() []string {
	p, away := c.Processes, c.State != StateAnswers
	var lines []string
	say := func(g Group, is bool, sentence func(Group) string) {
		if is && g.Count > 0 {
			lines = append(lines, sentence(g))
		}
	}
	say(p.Fenced, true, c.fenced)
	say(p.Ending, true, c.ending)
	say(p.Bounded, away, c.bounded)
	say(p.Held, away, c.held)
	say(p.Kept, away, func(g Group) string {
		return fmt.Sprintf("%s %s on without etcd (on_partition = keep)", g, g.verb("runs", "run"))
	})
	say(p.Over, away, func(g Group) string {
		return fmt.Sprintf("%s %s ended, and the fleet is told when %s", g, g.verb("has", "have"), c.Answer())
	})
	return lines
}

func (c Contact) fenced(g Group) string {
	stopped := g.verb("is held down", "are held down")
	if ago := g.EndedMillis; ago > 0 {
		stopped = g.verb("was stopped here ", "were stopped here, the last one ") + Span(millis(ago)) + " ago"
	}
	when := "if " + g.verb("it does", "they do") + " not run elsewhere by now"
	if c.State != StateAnswers {
		when = fmt.Sprintf("when %s, unless %s elsewhere by then", c.Answer(), g.verb("it runs", "they run"))
	}
	return fmt.Sprintf("%s %s, since no renewal came from etcd; %s again here %s", g, stopped, g.verb("it starts", "they start"), when)
}

func (c Contact) ending(g Group) string {
	deadline := g.verb("its deadline is ", "their deadlines are ") + g.when()
	if g.LastMillis <= 0 {
		deadline = fmt.Sprintf("%s passed %s ago", g.verb("its deadline", "their deadlines"), Span(-millis(g.LastMillis)))
	}
	return fmt.Sprintf("%s %s being stopped, since no renewal came from etcd; %s", g, g.verb("is", "are"), deadline)
}

func (c Contact) bounded(g Group) string {
	unless := c.Answer()
	if c.State == StateSilent && len(c.Controllers) > 0 { // whom the agent asks
		unless += " or " + c.promise(g)
	}
	return fmt.Sprintf("%s %s on until %s %s, unless %s before", g, g.verb("goes", "go"), g.verb("its deadline", "their deadlines"), g.when(), unless)
}

// promise is what the controllers do about processes.
func (c Contact) promise(g Group) string {
	by := Group{Count: len(c.Controllers), Names: c.Controllers}
	return fmt.Sprintf("%s %s to leave %s alone", by, by.verb("promises", "promise"), g.verb("it", "them"))
}

// held says that processes go on by promise.
func (c Contact) held(g Group) string {
	return fmt.Sprintf("%s %s on without etcd for at most %s, as long as %s", g, g.verb("goes", "go"), Span(millis(g.FirstMillis)), c.promise(g))
}

// HeldBy says of one process that goes on by promise since when it does, and until when it may at most, by its left_ms.
func (c Contact) HeldBy(left time.Duration) string {
	by := Group{Count: len(c.Controllers), Names: c.Controllers}
	return fmt.Sprintf("held by promise of %s since %s, at most until %s", by, c.Answered().Local().Format(time.TimeOnly), c.At.Add(left).Local().Format(time.TimeOnly))
}

// when says how long it is to the deadlines of the processes.
func (g Group) when() string {
	first, last := Span(millis(g.FirstMillis)), Span(millis(g.LastMillis))
	if first == last {
		return "in " + last
	}
	return fmt.Sprintf("in %s to %s", first, last)
}

// Answer is what makes things go on, as what follows the word when.
func (c Contact) Answer() string {
	if c.State == StateUnasked || c.State == StateUnknown {
		return "an agent is started and etcd answers it"
	}
	return "etcd answers"
}

// AfterStop says what it means for the fleet that processes were stopped on the machine itself.
func (c Contact) AfterStop() string {
	stays := "What is stopped so stays stopped until somebody starts it (distsuperctl start NAME)."
	if c.State == StateAnswers {
		return stays
	}
	return fmt.Sprintf("The fleet does not know that yet (etcd %s) and is told when %s. %s A copy that another machine has started by then goes on there.",
		c.Etcd(), c.Answer(), stays)
}

// String names the processes.
func (g Group) String() string {
	switch more := g.Count - len(g.Names); {
	case len(g.Names) == 0:
		return fmt.Sprintf("%d processes", g.Count)
	case more > 0:
		return fmt.Sprintf("%s and %d more", strings.Join(g.Names, ", "), more)
	case g.Count == 1:
		return g.Names[0]
	}
	last := len(g.Names) - 1
	return strings.Join(g.Names[:last], ", ") + " and " + g.Names[last]
}

func (g Group) verb(one, many string) string {
	if g.Count == 1 {
		return one
	}
	return many
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// NoRenewal says why a process was stopped after such a time. It is true of a silent etcd, and of an agent that did not ask it.
func NoRenewal(silence time.Duration) string { return "no renewal from etcd for " + Span(silence) }

// Span writes how long something takes or took: to a tenth of a second when it is short, and to what matters when it is long.
func Span(d time.Duration) string {
	d = max(d, 0)
	switch seconds := int64(d / time.Second); {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Truncate(100*time.Millisecond).Seconds())
	case seconds < 120:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 600:
		return fmt.Sprintf("%d min %d s", seconds/60, seconds%60)
	case seconds < 2*3600:
		return fmt.Sprintf("%d min", seconds/60)
	default:
		return fmt.Sprintf("%d h %d min", seconds/3600, seconds/60%60)
	}
}
