package ini

import (
	"testing"

	"pgregory.net/rapid"
)

func TestWhatABuilderWritesReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		section := rapid.SampledFrom([]string{"a", "program:web", "a]b", " a ", "[a", "DEFAULT", "before", "a b"}).Draw(t, "section")
		key := rapid.SampledFrom([]string{"k", "my key", "a]", "%", "a;b", "a[", "\u00e9", "\u00a0", "K"}).Draw(t, "key")
		value := drawValue(t, "value")
		var b Builder
		b.Section("before")
		b.Set("k", "v")
		b.Section(section)
		b.Set("first", "1")
		b.Set(key, value)
		b.Set("last", "2")
		text, err := b.Text()
		if err != nil {
			return
		}
		f, err := Parse("x.ini", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		s, ok := f.Section(section)
		if section == DefaultSection {
			s, ok = f.Defaults(), true
		}
		if !ok {
			t.Fatalf("no section %q in\n%s", section, text)
		}
		if v, ok := s.Get(key); !ok || v.Text != value {
			t.Fatalf("%q is %q, want %q\n%s", key, v.Text, value, text)
		}
		if first, last := s.Map()["first"], s.Map()["last"]; first != "1" || last != "2" {
			t.Fatalf("neighbours became %q and %q\n%s", first, last, text)
		}
	})
}

func TestBuilderRefusesWhatTheGrammarCannotHold(t *testing.T) {
	for name, set := range map[string]func(b *Builder){
		"comment in a value":      func(b *Builder) { b.Set("k", "a ;b") },
		"blank at the end":        func(b *Builder) { b.Set("k", "a ") },
		"line break at the end":   func(b *Builder) { b.Set("k", "a\n") },
		"carriage return":         func(b *Builder) { b.Set("k", "a\rb") },
		"indented second line":    func(b *Builder) { b.Set("k", "a\n  b") },
		"key in upper case":       func(b *Builder) { b.Set("K", "a") },
		"delimiter in a key":      func(b *Builder) { b.Set("k:l", "a") },
		"empty key":               func(b *Builder) { b.Set("", "a") },
		"key like a header":       func(b *Builder) { b.Set("[k", "a") },
		"key that opens an entry": func(b *Builder) { b.Set("k=1\nl", "a") },
		"empty section":           func(b *Builder) { b.Section("") },
		"line break in a section": func(b *Builder) { b.Section("a]\n[b") },
		"comment in a section":    func(b *Builder) { b.Section("a ;b") },
	} {
		var b Builder
		b.Section("s")
		set(&b)
		if text, err := b.Text(); err == nil {
			t.Errorf("%s: written as %q", name, text)
		}
	}
	var b Builder
	b.Set("k", "v")
	if _, err := b.Text(); err == nil {
		t.Error("an option without a section was written")
	}
}

func TestBuilderWritesPlainText(t *testing.T) {
	var b Builder
	b.Section("program:web")
	b.Set("command", "serve\n--port 1")
	b.Set("user", ";x")
	b.Section("b")
	got, err := b.Text()
	want := "[program:web]\ncommand=serve\n    --port 1\nuser=;x\n\n[b]\n"
	if err != nil || got != want {
		t.Fatalf("wrote %q, %v, want %q", got, err, want)
	}
}
