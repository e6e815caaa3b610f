package server

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3rpc"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/privatesock"
	"github.com/distsuper/distsuper/pkg/swept"
	"github.com/distsuper/distsuper/store/embedded"
)

// door keeps etcd reachable on this host when its files are removed under it. What etcd holds cannot be made again, but
// as long as etcd lives, everything works, and a backup can be made.
type door struct {
	dir    embedded.Dir
	cfg    embedded.Config
	server *etcdserver.EtcdServer
	log    *zap.Logger

	first  os.FileInfo         // etcd's own socket, as it was at the start
	socket *privatesock.Socket // in its place after that was removed; nil before
	work   sync.WaitGroup      // who serves the socket
}

func newDoor(d embedded.Dir, cfg embedded.Config, server *etcdserver.EtcdServer, log *zap.Logger) (*door, error) {
	first, err := os.Lstat(d.Socket())
	return &door{dir: d, cfg: cfg, server: server, log: log, first: first}, err
}

// keep makes the lock and the socket again whenever they are removed, until ctx ends.
func (o *door) keep(ctx context.Context) {
	path := o.dir.Socket()
	err := swept.Keep(ctx, []swept.File{
		{Path: o.dir.PidFile(), Intact: o.dir.LockIntact, Renew: o.lock},
		{Path: path, Intact: func() bool { return o.intact(path) }, Renew: func() error { return o.open(path) }},
	}, func(path string, err error) {
		if err != nil {
			o.log.Error("a file of etcd was removed, and cannot be recreated yet", zap.String("file", path), zap.Error(err))
			return
		}
		o.log.Warn("a file of etcd was removed, and was recreated", zap.String("file", path))
	})
	if err != nil {
		o.log.Warn("etcd's files cannot be watched for removal", zap.Error(err))
	}
	if o.socket != nil {
		_ = o.socket.Close() // nobody is served any more
	}
	o.work.Wait()
}

func (o *door) lock() error {
	if err := o.dir.Make(); err != nil {
		return err
	}
	return o.dir.Lock(o.cfg)
}

func (o *door) intact(path string) bool {
	if o.socket != nil {
		return o.socket.Current()
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(now, o.first)
}

// open listens at the socket's path. etcd's own listener cannot be moved, so a second server of the same etcd serves this one.
func (o *door) open(path string) error {
	if _, err := o.dir.MakeSocketDir(); err != nil {
		return err
	}
	if o.socket != nil {
		return o.socket.Renew()
	}
	socket, err := privatesock.Listen(path, nil)
	if err != nil {
		return err
	}
	o.socket = socket
	server := v3rpc.Server(o.server, nil, nil)
	o.work.Go(func() {
		defer server.Stop()
		if err := server.Serve(socket); err != nil && !errors.Is(err, net.ErrClosed) {
			o.log.Warn("the recreated socket is no longer served", zap.Error(err))
		}
	})
	return nil
}
