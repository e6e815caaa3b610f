package witness

import "testing"

func TestMaxCopiesCountsOverlapsOfOneProcessOnly(t *testing.T) {
	for _, c := range []struct {
		name   string
		copies []Copy
		want   int
	}{
		{"none", nil, 0},
		{"one after the other", []Copy{{Process: "a", Start: 1, Last: 5}, {Process: "a", Start: 6, Last: 9}}, 1},
		{"touching", []Copy{{Process: "a", Start: 1, Last: 5}, {Process: "a", Start: 5, Last: 9}}, 2},
		{"one within another", []Copy{{Process: "a", Start: 1, Last: 9}, {Process: "a", Start: 3, Last: 4}}, 2},
		{"three", []Copy{{Process: "a", Start: 1, Last: 9}, {Process: "a", Start: 3, Last: 8}, {Process: "a", Start: 4, Last: 4}}, 3},
		{"two processes", []Copy{{Process: "a", Start: 1, Last: 9}, {Process: "b", Start: 3, Last: 4}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, pair := MaxCopies(c.copies)
			if got != c.want {
				t.Errorf("MaxCopies = %d, want %d", got, c.want)
			}
			if (got > 1) != (len(pair) == 2) {
				t.Errorf("MaxCopies = %d names the pair %v", got, pair)
			}
		})
	}
}
