package ini

import "testing"

func TestNearest(t *testing.T) {
	known := []string{"command", "autostart", "autorestart", "startsecs", "user", "umask", "stdout_logfile", "stderr_logfile"}
	for key, want := range map[string]string{
		"comand":          "command",
		"commnad":         "command",
		"COMMAND":         "command",
		"auto_start":      "autostart",
		"autorestrat":     "autorestart",
		"start_secs":      "startsecs",
		"usr":             "user",
		"stdout_log_file": "stdout_logfile",
		"stdeout_logfile": "stdout_logfile",
		"command":         "command",
		"port":            "",
		"x":               "",
		"":                "",
		"priority":        "",
	} {
		got, ok := Nearest(key, known)
		if got != want || ok != (want != "") {
			t.Errorf("%q is near %q, %v, want %q", key, got, ok, want)
		}
	}
	if got, _ := Nearest("ab", []string{"ac", "ad"}); got != "ac" {
		t.Errorf("of two equally near the first is %q", got)
	}
	if got, _ := Nearest("abcdef", []string{"abcdxx", "abcdex"}); got != "abcdex" {
		t.Errorf("nearer is %q", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"\u00e9a", "a\u00e9", 1}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q is %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
