package embedded

import (
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/pki"
	"github.com/distsuper/distsuper/store/etcd"
)

// An authority that is about to end gets another certificate, by which all that it signed stays good, and so does whatever it signs next; the
// old one that a configuration names does not come back with the next start.
func TestAnAuthorityThatEndsSoonIsRenewedWithItsKey(t *testing.T) {
	d := Dir(t.TempDir())
	const listen = "127.0.0.1:2379"
	if err := d.MakeCertificates(listen); err != nil {
		t.Fatal(err)
	}
	if err := d.MakePeerCertificates("127.0.0.1:2380"); err != nil {
		t.Fatal(err)
	}
	short := map[string]pki.Pair{}
	for _, name := range []string{"ca", "peer-ca"} {
		ca, err := d.readPair(name)
		if err != nil {
			t.Fatal(err)
		}
		if short[name], err = ca.Again(time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := d.writePair(name, short[name]); err != nil {
			t.Fatal(err)
		}
	}
	given, err := short["ca"].Client("an agent")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Adopt(Authorities{CA: string(short["ca"].Cert), CAKey: string(short["ca"].Key), PeerCA: string(short["peer-ca"].Cert), PeerCAKey: string(short["peer-ca"].Key)}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and nothing changes then
		if err := d.MakeCertificates(listen); err != nil {
			t.Fatal(err)
		}
		if err := d.MakePeerCertificates("127.0.0.1:2380"); err != nil {
			t.Fatal(err)
		}
		if err := d.Adopt(Authorities{CA: string(short["ca"].Cert), CAKey: string(short["ca"].Key)}); err != nil {
			t.Fatal(err)
		}
	}
	for authority, signed := range map[string][]string{"ca": {"server", "client"}, "peer-ca": {"peer"}} {
		renewed, err := d.readPair(authority)
		if err != nil {
			t.Fatal(err)
		}
		root, err := renewed.Parse()
		if err != nil || time.Until(root.NotAfter) < renewAuthority {
			t.Fatalf("%s ends at %v, %v", authority, root.NotAfter, err)
		}
		for _, name := range signed {
			p, err := d.readPair(name)
			if err != nil || !stillGood(p, renewed, nil) {
				t.Errorf("%s is not good any more: %v", name, err)
			}
			if !stillGood(p, short[authority], nil) {
				t.Errorf("whoever trusts the certificate of before does not trust %s", name)
			}
		}
		if cert, err := given.Parse(); authority == "ca" && (err != nil || cert.CheckSignatureFrom(root) != nil) {
			t.Errorf("what was given to an agent opens nothing any more: %v", err)
		}
	}
}

// People are told of a certificate that ends soon where nothing renews it: in the file of another host.
func TestACertificateThatEndsSoonIsTold(t *testing.T) {
	ca, err := pki.NewCA(authority)
	if err != nil {
		t.Fatal(err)
	}
	if ca, err = ca.Again(time.Now().Add(90 * 24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("an agent") // which ends with its authority
	if err != nil {
		t.Fatal(err)
	}
	cfg := etcd.Config{CA: string(ca.Cert), Cert: string(client.Cert), Key: string(client.Key), Follow: true}
	if told := cfg.Ending(time.Now()); told != "" {
		t.Errorf("three months before its end it is told: %s", told)
	}
	month := time.Now().Add(60 * 24 * time.Hour)
	if told := cfg.Ending(month); !strings.Contains(told, "[etcd] ca ends on ") || !strings.Contains(told, "init config --join") {
		t.Errorf("a month before its end: %q", told)
	}
	if told := (etcd.Config{}).Ending(month); told != "" {
		t.Errorf("without one: %q", told)
	}
}
