package config

import (
	"strings"
	"testing"
)

func TestAMemberThatCouldNotWorkIsRefusedWithItsPlace(t *testing.T) {
	const listen = "[embedded-etcd]\nlisten = 10.0.0.1:2379\n"
	for _, c := range []struct{ name, text, want string }{
		{"alone", listen, ""},
		{"the first", listen + "peer_listen = 10.0.0.1:2380\n", ""},
		{"one that joins", listen + "peer_listen = d1.example:2380\npeers = https://10.0.0.2:2379, https://d3.example:2379\n", ""},
		{"without an address for members", listen + "peers = https://10.0.0.2:2379\n", "distsuper.ini:3: [embedded-etcd] peers: needs peer_listen"},
		{"without an address for clients", "[embedded-etcd]\npeer_listen = 10.0.0.1:2380\n", "distsuper.ini:2: [embedded-etcd] peer_listen: needs listen"},
		{"every address", listen + "peer_listen = 0.0.0.0:2380\n", "distsuper.ini:3: [embedded-etcd] peer_listen: write the address"},
		{"no address", listen + "peer_listen = :2380\n", "distsuper.ini:3: [embedded-etcd] peer_listen: write the address"},
		{"one address for both", listen + "peer_listen = 10.0.0.1:2379\n", "is also the address of listen"},
		{"no endpoint", listen + "peer_listen = 10.0.0.1:2380\npeers = 10.0.0.2\n", `distsuper.ini:4: [embedded-etcd] peers: "10.0.0.2" is not an endpoint`},
		{"plain HTTP", listen + "peer_listen = 10.0.0.1:2380\npeers = http://10.0.0.2:2379\n", "write https://HOST:PORT"},
		{"another's etcd", "[etcd]\nendpoints = e:2379\n" + listen + "peer_listen = 10.0.0.1:2380\n", "does not go with [etcd] endpoints"},
		{"a certificate without its key", listen + "peer_listen = 10.0.0.1:2380\npeer_ca = /ca.pem\n", "peer_ca and peer_ca_key come together"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.write(FileName, c.text)
			_, err := w.load(Distsuperd)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
