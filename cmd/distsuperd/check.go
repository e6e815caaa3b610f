package main

import (
	"errors"

	"github.com/distsuper/distsuper/cmd/internal/daemoncmd"
	"github.com/distsuper/distsuper/pkg/config"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/store/embedded"
)

// check reports why a distsuperd could not start with these settings.
func check(cfg *config.Config, held string) error {
	endpoints, err := daemoncmd.Endpoints(cfg)
	if err == nil && cfg.UsesEmbedded() && cfg.Embedded.Listen != "" && !embedded.Running(cfg.Controller.StateDir) { // else it goes on as it is
		err = daemoncmd.CheckPort(cfg.Embedded.Listen, true, "[embedded-etcd] listen", "")
		if err == nil && cfg.Embedded.PeerListen != "" {
			err = daemoncmd.CheckPort(cfg.Embedded.PeerListen, true, "[embedded-etcd] peer_listen", "")
		}
	}
	if err == nil {
		err = daemoncmd.CheckStore(cfg, endpoints, seenFile(cfg))
	}
	return errors.Join(err, mtls.CheckIdentity(identityFile(cfg)), daemoncmd.CheckPort(cfg.Controller.HTTP, cfg.Controller.HTTPGiven, httpKey, held))
}
