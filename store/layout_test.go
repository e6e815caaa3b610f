package store

import (
	"strings"
	"testing"
)

func TestTheLayoutDocumentsEveryKindOfKey(t *testing.T) {
	keys := NewKeys("")
	documented := map[Kind]bool{}
	for _, d := range Layout {
		name, err := keys.Parse(keys.Root() + d.Path)
		if err != nil || name.Kind != d.Kind {
			t.Errorf("%s is parsed as kind %d, %v; the row says %d", d.Path, name.Kind, err, d.Kind)
		}
		if documented[d.Kind] || d.Writer == "" || d.Content == "" || strings.ContainsAny(d.Writer+d.Content, "|\n") {
			t.Errorf("row %+v", d)
		}
		documented[d.Kind] = true
	}
	for kind := KindOther; kind <= KindLeader; kind++ {
		if !documented[kind] {
			t.Errorf("no row documents kind %d", kind)
		}
	}
}
