package promise

import (
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/deadline"
)

func TestALongPromiseEndsWithALeaseOfALaterTerm(t *testing.T) {
	long := asked(1, 0, []Name{web})
	long.Granted = []Grant{{"c1", FarewellLength.Milliseconds(), 4}}
	m := memory(set(10, 0, 1), long)
	whole, _ := m.Deadline(web)
	fresh := func(at0 time.Duration) deadline.Deadline { return deadline.Of(at(at0), 5) }
	for _, c := range []struct {
		name string
		back Returns
		want deadline.Deadline
	}{
		{"etcd is not back", nil, whole},
		{"a lease of the same term", Returns(nil).And(4, fresh(time.Minute)), whole},
		{"a lease of which the term is not known", Returns(nil).And(0, fresh(time.Minute)), whole},
		{"a lease of a later term", Returns(nil).And(5, fresh(time.Minute)), fresh(time.Minute)},
		{"two: the first that ends", Returns(nil).And(5, fresh(time.Minute)).And(5, fresh(2*time.Minute)), fresh(time.Minute)},
		{"one of a later term yet, that is told before", Returns(nil).And(6, fresh(2*time.Minute)).And(5, fresh(time.Minute)), fresh(time.Minute)},
	} {
		if got, held := m.deadline(web, c.back); !held || got != c.want {
			t.Errorf("%s: until %v, want %v", c.name, time.Duration(got.Boot)-time.Hour, time.Duration(c.want.Boot)-time.Hour)
		}
	}
	short := memory(set(10, 0, 1), asked(1, 0, []Name{web}, "c1"))
	want, _ := short.Deadline(web)
	if got, _ := short.deadline(web, Returns(nil).And(5, fresh(0))); got != want {
		t.Error("a promise like any other ended, too")
	}
	var many Returns
	for term := range uint64(50) {
		many = many.And(term+5, fresh(time.Duration(term)*time.Minute))
	}
	if got, _ := m.deadline(web, many); len(many) != mostReturns || got != fresh(0) {
		t.Errorf("%d are kept, and it is held until %v", len(many), time.Duration(got.Boot)-time.Hour)
	}
}
