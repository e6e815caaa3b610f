package docs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distsuper/distsuper/pkg/clock"
	"github.com/distsuper/distsuper/pkg/deadline"
	"github.com/distsuper/distsuper/pkg/token/page"
	"github.com/distsuper/distsuper/test/gate"
)

// recipes are the examples in a language on the page of the token.
func recipes(t *testing.T, language string) (found []string) {
	t.Helper()
	text, _ := Page("token")
	for _, part := range strings.Split(text, "```"+language+"\n")[1:] {
		recipe, _, ended := strings.Cut(part, "```")
		if !ended {
			t.Fatalf("an example in %s does not end", language)
		}
		found = append(found, recipe)
	}
	return found
}

// printed runs a program that reads the script from its standard input and has a place as if a keeper had started it.
func printed(t *testing.T, script string, book *page.Book, place *page.Place, program ...string) string {
	t.Helper()
	if _, err := exec.LookPath(program[0]); err != nil {
		gate.Cannot(t, "%v", err)
	}
	c := exec.Command(program[0], program[1:]...)
	c.Stdin = strings.NewReader(script)
	c.Env = append(os.Environ(), "DISTSUPER_TOKEN=7", page.Variable+"="+place.Environment()[page.Variable])
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", book.Descriptor()))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c.ExtraFiles = []*os.File{file} // it becomes 3
	var complaints bytes.Buffer
	c.Stderr = &complaints
	out, err := c.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("%v: %v\n%s", program, err, &complaints)
	}
	return strings.TrimSpace(string(out))
}

// TestTheRecipesTellHowLongAProcessMayAct runs what stands on the page, in the interpreters themselves.
func TestTheRecipesTellHowLongAProcessMayAct(t *testing.T) {
	book, err := page.NewBook()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(book.Close)
	now := deadline.Now(clock.Real{})
	hour := deadline.Deadline{Boot: int64(now.Boot) + int64(time.Hour), Raw: now.Raw + int64(time.Hour)}
	over := book.Take()
	address := over.Environment()
	over.Free()
	for _, recipe := range []struct {
		name, script string
		program      []string
		bothClocks   bool
	}{
		{"Python", recipes(t, "python")[0] + "\nprint(int(seconds_left()))\n", []string{"python3", "-"}, true},
		{"sh", recipes(t, "sh")[0] + "\nseconds_left\n", []string{"sh", "-eu"}, false},
		{"bash", recipes(t, "sh")[0] + "\nseconds_left\n", []string{"bash", "-eu"}, false},
	} {
		for _, row := range []struct {
			name        string
			limits      page.Limits
			least, most int
		}{
			{"an hour is left", page.Limits{Until: hour}, 3000, 3600},
			{"no deadline", page.Limits{Until: deadline.None}, 1 << 30, 1 << 40},
			{"it has come", page.Limits{}, -1 << 40, 0},
			{"one clock has got there", page.Limits{Until: deadline.Deadline{Boot: hour.Boot}}, -1 << 40, 0},
		} {
			t.Run(recipe.name+"/"+row.name, func(t *testing.T) {
				if row.limits.Until.Raw == 0 && row.limits.Until.Boot != 0 && !recipe.bothClocks {
					row.limits.Until = deadline.Deadline{Raw: hour.Raw} // a shell knows the other clock alone
				}
				place := book.Take()
				defer place.Free()
				place.Set(row.limits)
				out := printed(t, recipe.script, book, place, recipe.program...)
				if left, err := strconv.Atoi(out); err != nil || left < row.least || left > row.most {
					t.Errorf("it says %q, which is not between %d and %d", out, row.least, row.most)
				}
			})
		}
		t.Run(recipe.name+"/another run has the place", func(t *testing.T) {
			next := book.Take()
			defer next.Free()
			next.Set(page.Limits{Until: hour})
			if next.Environment()[page.Variable] == address[page.Variable] {
				t.Fatal("two runs have the same number")
			}
			_, stale, _ := strings.Cut(address[page.Variable], ":")
			script := "import os\nos.environ['DISTSUPER_TOKEN_PAGE'] = '3:" + stale + "'\n"
			if recipe.program[0] != "python3" {
				script = "DISTSUPER_TOKEN_PAGE=3:" + stale + "\n"
			}
			if out := printed(t, script+recipe.script, book, next, recipe.program...); out != "0" {
				t.Errorf("it says %q", out)
			}
		})
	}
}

// TestTheSQLRefusesAStaleToken runs the statements of the page in a database.
func TestTheSQLRefusesAStaleToken(t *testing.T) {
	statements := recipes(t, "sql")
	script := fmt.Sprintf(`
import sqlite3
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, state TEXT, token INTEGER NOT NULL)")
db.execute("CREATE TABLE fence (process TEXT PRIMARY KEY, token INTEGER NOT NULL)")
db.execute("INSERT INTO jobs VALUES (1, 'new', 5)")
for token in (5, 7, 6, 7, 8, 5):
    print(db.execute(%q, {"1": token, "2": 1}).rowcount, db.execute(%q, {"1": "web", "2": token}).rowcount, end=" ")
print(db.execute("SELECT token FROM jobs").fetchone()[0], db.execute("SELECT token FROM fence").fetchone()[0])
`, statements[0], statements[1])
	book, err := page.NewBook()
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	if got, want := printed(t, script, book, book.Take(), "python3", "-"), "1 1 1 1 0 0 1 1 1 1 0 0 8 8"; got != want {
		t.Errorf("rows changed by the tokens 5 7 6 7 8 5, twice each, and the highest: %s, want %s", got, want)
	}
}

// TestTheGoOfThePageIsOfTheExample compares it with what is compiled and run in pkg/token.
func TestTheGoOfThePageIsOfTheExample(t *testing.T) {
	example, err := os.ReadFile(filepath.Join(root, "pkg/token/example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(recipes(t, "go")[0]) {
		if !strings.Contains(string(example), "\t"+line) {
			t.Errorf("the example has no line %q", line)
		}
	}
}
