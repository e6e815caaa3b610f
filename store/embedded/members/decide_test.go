package members

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/distsuper/distsuper/store/embedded"
)

func peer(id string, learner bool) embedded.Peer {
	return embedded.Peer{ID: id, Name: "d" + id, Endpoint: "https://10.0.0." + id + ":2379", Peer: "https://10.0.0." + id + ":2380", Learner: learner}
}

func TestWhatMayStart(t *testing.T) {
	three := []embedded.Peer{peer("1", false), peer("2", false), peer("3", false)}
	mine := Own{Name: "d1", Peer: "https://10.0.0.1:2380", Data: true, Seq: 5, Membership: embedded.Membership{ID: "1", Cluster: "c", Members: three}}
	with := func(change func(*Own)) Own {
		own := mine
		change(&own)
		return own
	}
	empty := with(func(o *Own) { o.Data, o.Seq = false, 0 })
	for _, c := range []struct {
		name    string
		own     Own
		joins   bool
		answers []Answer
		want    Verdict
		refused string // part of why
	}{
		{"the others know it as it is", mine, true, []Answer{{Cluster: "c", Members: three, Record: Record{Seq: 5}}}, Start, ""},
		{"a crash came between the two notes", mine, true, []Answer{{Cluster: "c", Members: three, Record: Record{Seq: 4}}}, Start, ""},
		{"nobody answers, as after a power failure", mine, true, nil, Start, ""},
		{"one that has no majority knows its number", mine, true, []Answer{{Cluster: "c", Record: Record{Seq: 6}}}, Start, "restored from a copy"},
		{"one of two knows a higher number", mine, true,
			[]Answer{{Cluster: "c", Members: three, Record: Record{Seq: 3}}, {Cluster: "c", Members: three, Record: Record{Seq: 6}}}, Start, "restored from a copy"},
		{"it was removed", mine, true, []Answer{{Cluster: "c", Members: three[1:], Record: Record{Seq: 5}}}, Start, "removed from the members"},
		{"it was replaced", mine, true, []Answer{{Cluster: "c", Members: three[1:], Record: Record{Seq: 5, Replaced: true}}}, JoinAnew, ""},
		{"its replacement was interrupted before it was removed", mine, true, []Answer{{Cluster: "c", Members: three, Record: Record{Seq: 5, Replaced: true}}}, Start, ""},
		{"that, and its data is old", mine, true, []Answer{{Cluster: "c", Members: three, Record: Record{Seq: 6, Replaced: true}}}, Start, "restored from a copy"},
		{"it was replaced, says one that has no majority", mine, true, []Answer{{Cluster: "c", Record: Record{Seq: 5, Replaced: true}}}, Start, ""},
		{"the others went on as another etcd", mine, true, []Answer{{Cluster: "x", Members: three[1:]}}, Start, "another etcd"},
		{"they did, and it may join", mine, true, []Answer{{Cluster: "x", Members: three[1:], Record: Record{Replaced: true}}}, JoinAnew, ""},
		{"its data is gone", empty, true, []Answer{{Cluster: "c", Members: three}}, Start, "data of this host's etcd is gone"},
		{"its data is gone, and it was removed", empty, true, []Answer{{Cluster: "c", Members: three[1:]}}, Join, ""},
		{"it had no vote yet", empty, true, []Answer{{Cluster: "c", Members: []embedded.Peer{peer("1", true), three[1]}}}, Join, ""},
		{"it is new", with(func(o *Own) { *o = Own{Name: "d4", Peer: "https://10.0.0.4:2380"} }), true, []Answer{{Cluster: "c", Members: three}}, Join, ""},
		{"it is the first", with(func(o *Own) { *o = Own{Name: "d1"} }), false, nil, Start, ""},
		{"it has always been alone", with(func(o *Own) { o.Membership = embedded.Membership{} }), false, nil, Start, ""},
		{"it has to join, and nobody answers", empty, true, nil, Start, "has to join the others"},
		{"it has to join, and there is no majority", empty, true, []Answer{{Cluster: "c"}}, Start, "has to join the others"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Admit(c.own, c.joins, c.answers)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("%v, %v; want a refusal with %q", got, err, c.refused)
				}
				var r *Refusal
				if errors.As(err, &r) && (r.Member != "1" || !strings.Contains(err.Error(), `"distsuperctl members replace 1"`)) {
					t.Errorf("%v does not name the way out", err)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// Whoever starts with its data has no less than anybody has seen of it.
func TestNoOldDataStartsWhileAnyMemberKnowsBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		own := Own{Data: true, Seq: rapid.Int64Range(0, 3).Draw(t, "own"), Membership: embedded.Membership{ID: "1", Cluster: "c"}}
		var answers []Answer
		most, another := int64(0), false
		for range rapid.IntRange(0, 4).Draw(t, "answers") {
			a := Answer{Cluster: rapid.SampledFrom([]string{"c", "c", "c", "x"}).Draw(t, "cluster"), Record: Record{Seq: rapid.Int64Range(0, 3).Draw(t, "seq")}}
			if rapid.Bool().Draw(t, "sure") {
				a.Members = []embedded.Peer{peer("1", false), peer("2", false)}
			}
			most, another = max(most, a.Record.Seq), another || a.Cluster != "c"
			answers = append(answers, a)
		}
		_, err := Admit(own, true, answers)
		if (err == nil) != (most <= own.Seq && !another) {
			t.Fatalf("own %d, seen %d, another etcd %v: %v", own.Seq, most, another, err)
		}
	})
}

func TestVotesStayOdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var list []embedded.Peer
		ready := map[string]bool{}
		for i := range rapid.IntRange(1, 7).Draw(t, "members") {
			p := peer(string(rune('1'+i)), i > 0 && rapid.Bool().Draw(t, "learner"))
			list, ready[p.ID] = append(list, p), rapid.Bool().Draw(t, "ready")
		}
		caughtUp := func(p embedded.Peer) bool { return ready[p.ID] }
		_, before := Majority(list)
		left := 0
		for id := Promote(list, caughtUp); id != ""; id = Promote(list, caughtUp) {
			if !ready[id] {
				t.Fatalf("%s has not caught up, and gets a vote", id)
			}
			for i := range list {
				list[i].Learner = list[i].Learner && list[i].ID != id
			}
		}
		_, after := Majority(list)
		for _, p := range list {
			if p.Learner && ready[p.ID] {
				left++
			}
		}
		if left > 1 || left == 1 && after%2 == 0 {
			t.Errorf("%d votes, and %d that have caught up have none", after, left)
		}
		if after%2 == 0 && after != before {
			t.Errorf("%d votes became %d", before, after)
		}
	})
}

func TestALostMajorityNamesWhoIsMissed(t *testing.T) {
	list := []embedded.Peer{peer("1", false), peer("2", false), peer("3", false), peer("4", true)}
	up := map[string]bool{"3": true, "4": true}
	answers := func(p embedded.Peer) bool { return up[p.ID] }
	got := Lost(list, answers)
	for _, want := range []string{"1 of 3 members answer, and it needs 2", "d1 (https://10.0.0.1:2379), d2", "members recover"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q has no %q", got, want)
		}
	}
	up["1"] = true
	if got := Lost(list, answers); got != "" {
		t.Errorf("two of three are a majority: %s", got)
	}
}

func TestAMemberIsTakenOutOnlyWhereTheOthersGoOn(t *testing.T) {
	three := []embedded.Peer{peer("1", false), peer("2", false), peer("3", false)}
	for _, c := range []struct {
		name string
		list []embedded.Peer
		up   string
		id   string
		want string
	}{
		{"one that answers", three, "123", "3", ""},
		{"one that does not answer", three, "12", "3", ""},
		{"one that answers, beside one that does not", three, "23", "3", "1 of the 2 others with a vote answer, and etcd would need 2; start the others first: d1 ("},
		{"a learner, whoever answers", append([]embedded.Peer{peer("4", true)}, three...), "3", "4", ""},
		{"of two votes, the one that does not answer", three[:2], "1", "2", ""},
		{"of two votes, the one that answers", three[:2], "1", "1", "start the others first: d2"},
		{"the only one", three[:1], "1", "1", "it alone has a vote"},
		{"the only vote, beside a learner", []embedded.Peer{peer("1", false), peer("2", true)}, "12", "1", "it alone has a vote"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := MayRemove(c.list, func(p embedded.Peer) bool { return strings.Contains(c.up, p.ID) }, c.id)
			if !strings.Contains(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
