package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Member makes a node whose distsuperd has a member of one etcd of all such nodes: the first one begins it, and each of the others joins
// by the file that the first writes for it.
func (c *Cluster) Member(ctx context.Context, first *Node, name string, extra ...string) (*Node, error) {
	port, err := twoPorts()
	if err != nil {
		return nil, err
	}
	etcd := c.Etcd
	defer func() { c.Etcd = etcd }()
	c.Etcd = "" // it has its own
	own := strings.Join(append([]string{"[distsuperd]", "id = " + name, "http = 127.0.0.1:0"}, extra...), "\n") + "\n"
	if first == nil {
		return c.Node(name, fmt.Sprintf("[embedded-etcd]\nlisten = 127.0.0.1:%d\npeer_listen = 127.0.0.1:%d\n", port, port+1)+own)
	}
	text, err := first.Must(ctx, "distsuperctl", "init", "config", "--join", "--voter", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	return c.Node(name, text+own)
}

// JoinText is the [etcd] section with which a node joins the etcd of a member.
func (n *Node) JoinText(ctx context.Context) (string, error) {
	return n.Must(ctx, "distsuperctl", "init", "config", "--join")
}

// State is a file of the node's state directory.
func (n *Node) State(name string) string { return filepath.Join(n.Dir, ".distsuper", name) }

// Append adds to the node's configuration.
func (n *Node) Append(text string) error {
	f, err := os.OpenFile(filepath.Join(n.Dir, "distsuper.ini"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// twoPorts is a free port of loopback after which another one is free, too. They lie below those that the kernel gives to whoever connects.
func twoPorts() (int, error) {
	for range 100 {
		port := 20000 + 2*rand.IntN(6000)
		if free(port) && free(port+1) {
			return port, nil
		}
	}
	return 0, errors.New("no two ports are free")
}

// FreePort is a port of an address at which nobody listens, and that the kernel gives to nobody who connects: a daemon that is killed finds
// it free again.
func FreePort(address string) (int, error) {
	for range 100 {
		if port := 20000 + rand.IntN(12000); freeAt(address, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port of %s is free", address)
}

func free(port int) bool { return freeAt("127.0.0.1", port) }

func freeAt(address string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
