//go:build !linux

package main

import (
	"context"
	"errors"

	"github.com/distsuper/distsuper/pkg/config"
)

// errNoEtcd is the answer where there can be none.
var errNoEtcd = usage(errors.New("distsuperd's own etcd runs on Linux only; set [etcd] endpoints or DISTSUPER_ETCD_ENDPOINTS"))

func startEtcd(context.Context, *config.Config) error { return errNoEtcd }

func stopEtcd(context.Context, *config.Config) error { return errNoEtcd }

func distsuperdRuns(string) bool { return false }
