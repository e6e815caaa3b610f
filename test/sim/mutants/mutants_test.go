package mutants

import (
	"os/exec"
	"testing"
)

// A patch that does not apply any more guards nothing.
func TestEveryPatchApplies(t *testing.T) {
	const root = "../../.."
	all, err := List(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 75 {
		t.Fatalf("only %d patches", len(all))
	}
	for _, m := range all {
		cmd := exec.Command("git", "apply", "--check", "-C1", m.Path)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply to this source: make it anew\n%s", m.Name, out)
		}
	}
}
