package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distsuper/distsuper/store/embedded"
	"github.com/distsuper/distsuper/store/embedded/members"
)

// beginAnew has this host begin a new etcd, which the other members of the one before join, if all of them are lost. It does nothing, and
// returns false, where there is an etcd to restore into, or none of several members.
func (c *ctl) beginAnew(cmd *cobra.Command, yes bool) (anew bool, err error) {
	if c.client != nil {
		return false, nil // a test brought the store
	}
	if err := c.settings(cmd); err != nil {
		return false, err
	}
	dir := c.cfg.Controller.StateDir
	if !c.choose().usesOwnEtcd() {
		return false, nil
	}
	before, err := remembered(dir)
	if err != nil || len(before) < 2 {
		return false, err
	}
	sc, socket, err := c.thisMember()
	if err != nil {
		return false, err
	}
	sc.Endpoints = append(sc.Endpoints, embedded.Endpoints(before)...)
	e := members.NewClient(sc, c.keys)
	defer e.Close()
	ctx := cmd.Context()
	if _, _, err := e.Any(ctx, true); err == nil {
		return false, nil
	}
	if err := c.allLost(ctx, e, before, dir); err != nil {
		return false, err
	}
	if err := c.confirm(yes, fmt.Sprintf("No member of etcd answers (%s). One that can be started again has more than any backup. "+
		"Give all of their data up, and make a new etcd of the backup on this host?", namesOf(before))); err != nil {
		return false, fmt.Errorf("restore: %w", err)
	}
	if err := c.foundAnew(ctx, e, dir, socket, ""); err != nil {
		return false, err
	}
	for _, p := range before { // with what they have of the one before, they would be refused
		if err := e.Allow(ctx, p.ID); err != nil {
			return false, fmt.Errorf("let %s join the new etcd: %w; to go on, run this again", members.Named(p), err)
		}
	}
	c.printf("this host has begun a new etcd; the other hosts join it by themselves, and put what they have aside\n")
	return true, nil
}

// allLost says why no new etcd may take the place of one without a majority.
func (c *ctl) allLost(ctx context.Context, e *members.Client, before []embedded.Peer, dir string) error {
	var there []embedded.Peer
	states := e.States(ctx, before)
	for _, p := range before {
		if _, up := states[p.ID]; up {
			there = append(there, p)
		}
	}
	if len(there) > 0 {
		return unreachable("etcd has no majority, but %s answers, and has more than any backup: start the others, or if they are lost, "+
			"run \"distsuperctl members recover\" on its host; to restore the backup all the same, end it there first: distsuperd stop --all", namesOf(there))
	}
	if !distsuperdRuns(dir) {
		return usage(errors.New("no member of etcd answers: a new one is made on a host of one of them while distsuperd runs there (distsuperd start)"))
	}
	return nil
}

func namesOf(list []embedded.Peer) string {
	var out []string
	for _, p := range list {
		out = append(out, members.Named(p))
	}
	return strings.Join(out, ", ")
}
