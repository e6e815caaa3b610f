package visible

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAWordOfAShellIsWhatItWasMadeOf(t *testing.T) {
	if got := Word("/srv/fleet/distsuper.ini"); got != "/srv/fleet/distsuper.ini" {
		t.Errorf("a plain path is %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a b", "a;b", "$(x)", "'", "a'b\"c", "-n", "~", "*"})).Draw(t, "text"), "\x00", "")
		out, err := exec.Command("sh", "-c", "printf %s "+Word(text)).Output()
		if err != nil || string(out) != text {
			t.Fatalf("of %q the shell makes %q, %v", text, out, err)
		}
	})
}
