package page

import "testing"

func TestAPlaceIsTheSameOverAHandOver(t *testing.T) {
	before, err := NewBook()
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	kept, gone := before.Take(), before.Take()
	kept.Set(Limits{})
	gone.Free()
	b, places, err := ResumeBook(before.HandOver(), []*HandedPlace{nil, kept.HandOver()})
	if err != nil {
		t.Fatal(err)
	}
	if places[0] != nil || places[1].Environment()[Variable] != kept.Environment()[Variable] {
		t.Errorf("it is %v, and was %v", places[1].Environment(), kept.Environment())
	}
	if next := b.Take(); next.n != gone.n {
		t.Errorf("the free place is %d, the next one given out is %d", gone.n, next.n)
	}
	if _, _, err := ResumeBook(before.HandOver(), []*HandedPlace{{N: 99, Run: 1}}); err == nil {
		t.Error("a place that never was is taken over")
	}
}
