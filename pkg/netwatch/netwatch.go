//go:build linux

// Package netwatch tells when the addresses of this host, or its routes, may have changed, as they do with DHCP, a roaming host or a
// failed-over address. The kernel says so by rtnetlink; nothing is polled.
package netwatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long nothing must have changed before it is told: one change of an address is many messages.
const settle = 300 * time.Millisecond

// settleMost bounds the wait on a host where something always changes.
const settleMost = 5 * time.Second

// groups are what a change of the address at which others reach this host can begin with. Routes are among them: with several
// addresses they say which one that is.
const groups = unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE

// Watch calls changed when it has begun to listen and after every change, until ctx ends, which is no error. It does not say what
// has changed: changed looks.
func Watch(ctx context.Context, changed func()) error {
	events, err := open()
	if err == nil {
		err = watch(ctx, events, changed)
	}
	if err != nil {
		return fmt.Errorf("watch this host's addresses: %w", err)
	}
	return nil
}

// watch closes events.
func watch(ctx context.Context, events *os.File, changed func()) error {
	heard, failed := make(chan struct{}, 1), make(chan error, 1)
	go func() { failed <- listen(events, heard) }()
	defer func() { <-failed }()
	defer events.Close()
	changed()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			failed <- nil
			return err
		case <-heard:
			if !quiet(ctx, heard) {
				return nil
			}
			changed()
		}
	}
}

// open is a socket from which the kernel's messages are read, as a file that Close wakes a reader of.
func open() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "rtnetlink"), nil
}

// listen says that it heard something, until the file is closed. What a message says does not matter.
func listen(events *os.File, heard chan<- struct{}) error {
	buffer := make([]byte, 64<<10)
	for {
		// ENOBUFS: more came than was read in time, so something has changed.
		if _, err := events.Read(buffer); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	}
}

// quiet waits until nothing is heard for a while. It is false when ctx ended first.
func quiet(ctx context.Context, heard <-chan struct{}) bool {
	calm, most := time.NewTimer(settle), time.NewTimer(settleMost)
	defer calm.Stop()
	defer most.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-heard:
			calm.Reset(settle)
		case <-calm.C:
			return true
		case <-most.C:
			return true
		}
	}
}
