package logstream

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestRangeSurvivesTheQuery(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Range{Length: rapid.Int64Range(0, 1<<40).Draw(t, "length"), Follow: rapid.Bool().Draw(t, "follow")}
		if rapid.Bool().Draw(t, "from") {
			want.From = &Position{File: rapid.String().Draw(t, "file"), Offset: rapid.Int64().Draw(t, "offset")}
		} else {
			want.Last = rapid.Int64().Draw(t, "last")
		}
		if got, err := ParseQuery(want.Query("n"), "n"); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v became %+v, %v", want, got, err)
		}
	})
}

func TestWhatIsNoNumberIsRefused(t *testing.T) {
	for _, query := range []string{"", "n=x", "n=1&offset=x", "n=1&length=-1", "n=1&length=", "n=1&offset="} {
		r := httptest.NewRequest(http.MethodGet, "/?"+query, nil)
		if got, err := ParseQuery(r.URL.Query(), "n"); err == nil {
			t.Errorf("%q is taken for %+v", query, got)
		}
	}
}

func TestStreamTellsWhereItBeginsAndBreaksWhenItsSourceDoes(t *testing.T) {
	start := Start{Position: Position{File: "f", Offset: -3}, Gap: UnknownGap, Size: 9}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start.SetHeader(w.Header())
		source := io.Reader(strings.NewReader("whole"))
		if r.URL.Path == "/broken" {
			source = io.MultiReader(strings.NewReader("part"), iotest.ErrReader(errors.New("gone")))
		}
		Send(w, source)
	}))
	defer server.Close()
	for path, want := range map[string]string{"/": "whole", "/broken": "part"} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		s := Open(answer)
		text, err := io.ReadAll(s)
		s.Close()
		if string(text) != want || (err != nil) != (path == "/broken") || s.Start != start {
			t.Errorf("%s: %q, %v, %+v", path, text, err, s.Start)
		}
	}
}
