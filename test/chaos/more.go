package chaos

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/test/proxy"
)

// makeProxies makes a way to each member of etcd that may be slow.
func (r *round) makeProxies() (endpoints []string, err error) {
	for _, m := range r.etcd.Members {
		p, err := proxy.Listen(net.JoinHostPort(outside, "0"), "tcp", m.Client)
		if err != nil {
			return nil, err
		}
		r.proxies, endpoints = append(r.proxies, p), append(endpoints, p.Addr())
	}
	return endpoints, nil
}

// ports are those at which etcd answers its clients.
func (r *round) ports() string {
	var ports []string
	for _, at := range r.etcd.Endpoints() {
		_, port, _ := net.SplitHostPort(at)
		ports = append(ports, port)
	}
	for _, p := range r.proxies {
		_, port, _ := net.SplitHostPort(p.Addr())
		ports = append(ports, port)
	}
	return strings.Join(ports, ", ")
}

// delay slows the ways to etcd of the host that has proxies.
func delay(_ context.Context, r *round, f Fault) error {
	for _, p := range r.proxies {
		p.Delay(time.Duration(f.Share) * time.Millisecond)
	}
	return nil
}

func hasten(_ context.Context, r *round, _ Fault) error {
	for _, p := range r.proxies {
		p.Delay(0)
	}
	return nil
}

// wipe has a member without data take the place of another.
func wipe(ctx context.Context, r *round, f Fault) error {
	ctx, cancel := context.WithTimeout(ctx, patient)
	defer cancel()
	h := r.hosts[f.Host]
	h.mu.Lock()
	defer h.mu.Unlock()
	return r.etcd.Wipe(ctx, f.Host)
}

// filler is the file that fills a host's disk.
func filler(h *host) string { return filepath.Join(h.node.Dir, ".distsuper", "filler") }

// fill leaves no room on the disk of a host's state.
func fill(_ context.Context, r *round, f Fault) error {
	file, err := os.OpenFile(filler(r.hosts[f.Host]), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	for size := int64(1 << 20); size >= 4096; { // in steps, until not even the smallest fits
		info, err := file.Stat()
		if err != nil {
			return err
		}
		switch err := unix.Fallocate(int(file.Fd()), 0, info.Size(), size); {
		case errors.Is(err, unix.ENOSPC):
			size /= 4
		case err != nil:
			return fmt.Errorf("fill the disk: %w", err)
		}
	}
	return nil
}

func empty(_ context.Context, r *round, f Fault) error {
	err := os.Remove(filler(r.hosts[f.Host]))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
