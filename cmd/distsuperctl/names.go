package main

import (
	"errors"
	"fmt"

	"github.com/distsuper/distsuper/pkg/client"
	"github.com/distsuper/distsuper/pkg/control"
)

const noSuchGroup = "no such group"

// badNameLine is how supervisorctl says that a name means nothing.
func badNameLine(b *control.BadName) string {
	if b.Group {
		return b.Name + ": ERROR (" + noSuchGroup + ")"
	}
	return b.Name + ": ERROR (no such process)"
}

// badNameHint says what may help with a name that means nothing, "" for nothing.
func badNameHint(b *control.BadName) string {
	switch {
	case len(b.Several) > 0:
		return "it matches several processes: " + abbreviate(b.Several)
	case b.IsGroup:
		return fmt.Sprintf("%s is a group; write '%s:*'", b.Name, b.Name)
	case b.Near != "":
		return "did you mean " + b.Near + "?"
	case b.NothingKnown:
		return "nothing is loaded; see distsuperctl load"
	}
	return "distsuperctl status shows what there is"
}

// warnBadName says on stderr what may help with a name that means nothing.
func (c *ctl) warnBadName(b *control.BadName) {
	c.warnf("distsuperctl: %s: %s", b.Name, badNameHint(b))
}

// printBadNames prints what supervisorctl prints, and what may help.
func (c *ctl) printBadNames(bad []*control.BadName) {
	for _, b := range bad {
		fmt.Fprintln(c.supervisorOut(), badNameLine(b))
		c.warnBadName(b)
	}
}

// one finds the process that a name means, and says on stderr what may help with one that means none or several.
func (c *ctl) one(processes []client.Process, name string) (*client.Process, error) {
	p, err := control.One(processes, name)
	var bad *control.BadName
	if errors.As(err, &bad) {
		c.warnBadName(bad)
	}
	return p, err
}

// badNameError prints a name that does not mean one process; other errors are returned as they are.
func (c *ctl) badNameError(err error) error {
	var bad *control.BadName
	if !errors.As(err, &bad) {
		return err
	}
	c.printBadNames([]*control.BadName{bad})
	return failed(exitGeneric)
}
