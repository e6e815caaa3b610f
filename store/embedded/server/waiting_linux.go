package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/store/embedded"
)

// patience is how long etcd may be without a majority at its start before this host is told what the member knows.
const patience = 2 * time.Second

// answerWaiting answers on the socket while etcd itself answers nobody, since it has found no majority since its start. What needs none can
// be asked then: who the members are, and what this one has, without which nobody could go on from it. etcd's own socket waits under another
// name; end puts it back.
func answerWaiting(d embedded.Dir, server *etcdserver.EtcdServer, log *zap.Logger) (end func() error, err error) {
	path := d.Socket()
	aside := path + "~"
	if err := os.Rename(path, aside); err != nil {
		return nil, fmt.Errorf("answer while etcd waits for a majority: %w", err)
	}
	socket, err := privatesock.Listen(path, nil)
	if err != nil {
		return nil, errors.Join(err, os.Rename(aside, path))
	}
	grpc := v3rpc.Server(server, nil, nil)
	var work sync.WaitGroup
	work.Go(func() {
		if err := grpc.Serve(socket); err != nil && !errors.Is(err, net.ErrClosed) {
			log.Warn("nobody is answered while etcd waits for a majority", zap.Error(err))
		}
	})
	return func() error {
		err := os.Rename(aside, path)
		grpc.Stop() // it closes the socket, whose file is etcd's by now
		work.Wait()
		return err
	}, nil
}
