package server

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.uber.org/zap"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/pkg/statedir"
	"github.com/distsuper/distsuper/store/embedded"
)

// listenToPeers sets the port for other members.
func listenToPeers(cfg *embed.Config, d embedded.Dir, peer string) error {
	if peer == "" {
		return listenToNobody(cfg, d)
	}
	bind, err := bindAddress("peer_listen", peer)
	if err != nil {
		return err
	}
	if err := d.MakePeerCertificates(peer); err != nil {
		return err
	}
	cfg.PeerTLSInfo.CertFile, cfg.PeerTLSInfo.KeyFile = d.TLS("peer.pem"), d.TLS("peer.key")
	cfg.PeerTLSInfo.TrustedCAFile, cfg.PeerTLSInfo.ClientCertAuth = d.TLS("peer-ca.pem"), true
	// Members know each other by the authority; from which address one connects says nothing more.
	cfg.PeerTLSInfo.SkipClientSANVerify = true
	cfg.ListenPeerUrls = []url.URL{{Scheme: "https", Host: bind}}
	cfg.AdvertisePeerUrls = []url.URL{{Scheme: "https", Host: strings.TrimPrefix(embedded.PeerURL(peer), "https://")}}
	cfg.InitialCluster = cfg.Name + "=" + embedded.PeerURL(peer)
	return nil
}

// listenToNobody gives etcd the peer port that it insists on, although there are no peers. It speaks raft: whoever
// reaches it can write what he likes. So it is on loopback and takes only a certificate that is made anew at
// each start and known to nobody.
func listenToNobody(cfg *embed.Config, d embedded.Dir) error {
	pair, err := pki.SelfSigned("distsuper etcd peer", []string{"127.0.0.1"})
	if err != nil {
		return err
	}
	cert, key := d.Peer("cert.pem"), d.Peer("key.pem")
	if err := statedir.WriteFile(key, pair.Key); err != nil {
		return err
	}
	if err := statedir.WriteFile(cert, pair.Cert); err != nil {
		return err
	}
	cfg.PeerTLSInfo.CertFile, cfg.PeerTLSInfo.KeyFile = cert, key
	cfg.PeerTLSInfo.TrustedCAFile, cfg.PeerTLSInfo.ClientCertAuth = cert, true
	port, err := peerPort(d.Peer("port"))
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "https", Host: "127.0.0.1:" + strconv.Itoa(port)}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{u}, []url.URL{u}
	cfg.InitialCluster = cfg.Name + "=" + u.String()
	return nil
}

// peerPort is the port of the last start if it is still free, else another, which is remembered. A member
// alone in its cluster may change it at any start.
func peerPort(file string) (int, error) {
	if b, err := os.ReadFile(file); err == nil {
		if port, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
			if _, err := freePort(port); err == nil {
				return port, nil
			}
		}
	}
	port, err := freePort(0)
	if err != nil {
		return 0, fmt.Errorf("find a port for etcd's peers: %w", err)
	}
	return port, statedir.WriteFile(file, []byte(strconv.Itoa(port)+"\n"))
}

func freePort(port int) (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// tellPeers makes the members know this one's address for members, which may have changed since the last start: one that was alone had
// one on loopback.
func tellPeers(ctx context.Context, server *etcdserver.EtcdServer, cfg embedded.Config, log *zap.Logger) {
	url := embedded.PeerURL(cfg.Peer)
	for said := false; url != ""; said = true {
		self := server.Cluster().Member(server.MemberID())
		if self == nil || slices.Equal(self.PeerURLs, []string{url}) {
			return
		}
		update, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := server.UpdateMember(update, membership.Member{ID: server.MemberID(), RaftAttributes: membership.RaftAttributes{PeerURLs: []string{url}}})
		cancel()
		if err != nil && !said {
			log.Warn("the other members cannot be told of this one's address yet", zap.String("address", url), zap.Error(err))
		}
		if !clock.Sleep(ctx, time.Second) {
			return
		}
	}
}

// certificatesEvery is how often it is looked whether a certificate is about to end, or the host has got another address. etcd
// reads the files at each handshake.
const certificatesEvery = 12 * time.Hour

// keepCertificates renews them in time.
func keepCertificates(ctx context.Context, d embedded.Dir, cfg embedded.Config, log *zap.Logger) {
	for clock.Sleep(ctx, certificatesEvery) {
		if cfg.Listen != "" {
			if err := d.MakeCertificates(cfg.Listen); err != nil {
				log.Error("etcd's certificates cannot be renewed", zap.Error(err))
			}
		}
		if cfg.Peer != "" {
			if err := d.MakePeerCertificates(cfg.Peer); err != nil {
				log.Error("etcd's certificates for members cannot be renewed", zap.Error(err))
			}
		}
	}
}
