package daemoncmd

import (
	"context"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/netwatch"
	"github.com/distsuper/distsuper/pkg/rpc"
)

// WatchAddress tells each time the address at which others reach the daemon has changed, until ctx ends. look says what it is now.
func WatchAddress(ctx context.Context, log *zap.Logger, look func() string, tell func(now string)) {
	last := look()
	err := netwatch.Watch(ctx, func() {
		now := look()
		if now == last || len(rpc.HostAddresses()) == 0 { // with none it is between two, and can tell nobody anyway
			return
		}
		log.Info("this host's address has changed; the new one is published", zap.String("was", last), zap.String("address", now))
		last = now
		tell(now)
	})
	if err != nil {
		log.Warn("a change of this host's address is published only by a restart", zap.Error(err))
	}
}
