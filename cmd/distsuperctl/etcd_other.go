//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/distsuper/distsuper/pkg/config"
)

// startEtcd cannot: daemons run on Linux only.
func startEtcd(context.Context, *config.Config) error {
	return usage(errors.New("distsuperd's own etcd runs on Linux only; set [etcd] endpoints or DISTSUPER_ETCD_ENDPOINTS"))
}
