package members

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/distsuper/distsuper/store/embedded"
)

// listenTime is how long a host without data listens for members that look for one at its address. They try ten times a second.
const listenTime = 2 * time.Second

// mayBegin says why this host, which has no data and is to join nobody, begins no etcd of its own: others have one, of which it was a member
// before it lost all its state. They cannot be asked, since what they trust is lost, too; but they look for it.
func (h *Host) mayBegin(ctx context.Context, m embedded.Membership, d time.Duration) error {
	if m.Elsewhere != h.Config.Peer {
		heard, err := listen(ctx, h.Config.Peer, d)
		if err != nil || heard == "" {
			return err
		}
		h.Log.Warn("another host looks for a member of its etcd here", zap.String("host", heard), zap.String("address", h.Config.Peer))
		m.Elsewhere = h.Config.Peer // it stops looking once that one is replaced
		if err := h.dir.Remember(m); err != nil {
			return err
		}
	}
	return fmt.Errorf("this host has no data of etcd, and another one looked for a member of its own at %s: a new etcd here would be a second fleet beside that one. "+
		"On a host of that fleet, run \"distsuperctl members replace NAME\" for this host's member, if it is still one, and "+
		"\"distsuperctl init config --join --voter ADDRESS\"; then start distsuperd here with the file that this prints", h.Config.Peer)
}

// listen tells which host wants to speak TLS at an address, the first within a while; "" is none. It answers nobody.
func listen(ctx context.Context, address string, d time.Duration) (heard string, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("[embedded-etcd] peer_listen = %s: %w (is it an address of this host?)", address, err)
	}
	listening, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	context.AfterFunc(listening, func() { _ = l.Close() }) // which ends Accept
	var work sync.WaitGroup
	defer work.Wait()
	first := make(chan string, 1)
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				if host, ok := greets(conn, d); ok {
					select {
					case first <- host:
					default: // another one was
					}
				}
			})
		}
	})
	select {
	case heard = <-first:
		cancel()
	case <-listening.Done():
	}
	return heard, ctx.Err()
}

// errGreeted ends a handshake that has told enough.
var errGreeted = errors.New("it wants to speak TLS")

// greets reports whether a connection begins as TLS does, and from where it comes.
func greets(conn net.Conn, patience time.Duration) (host string, ok bool) {
	if conn.SetDeadline(time.Now().Add(patience)) != nil {
		return "", false
	}
	err := tls.Server(conn, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errGreeted }}).Handshake()
	host, _, splitErr := net.SplitHostPort(conn.RemoteAddr().String())
	return host, errors.Is(err, errGreeted) && splitErr == nil
}
