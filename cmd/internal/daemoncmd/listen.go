package daemoncmd

import (
	"net"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/distsuper/distsuper/pkg/rpc"
)

// mostConnections is the most that a daemon keeps open for callers, however many descriptors it may have.
const mostConnections = 4096

// Limited bounds the connections of a daemon's port to half of the descriptors that it may open: it must still be able to write
// its state and speak to etcd whoever calls.
func Limited(l net.Listener, log *zap.Logger) net.Listener {
	most := mostConnections
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		most = int(min(limit.Cur/2, mostConnections))
	}
	return rpc.Limit(l, most, log)
}
