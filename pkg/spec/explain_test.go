package spec

import (
	"fmt"
	"testing"

	"github.com/distsuper/distsuper/pkg/ini"
)

func TestExplainTellsWhatBecameOfEachKeyAndWhere(t *testing.T) {
	f, err := ini.Parse("/etc/x.ini", `[DEFAULT]
user = %(ENV_X)s
[program: web ]
environment = A="secret%(process_num)d"
command = run %(here)s %(program_name)s%(process_num)d %(ENV_HOME)s
auto_start = no
numprocs = %(ENV_N)s
process_name = %(host_node_name)s-%(process_num)d
stdout_logfile = /log/%(group_name)s
unknown = 1
`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(f, world)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, fact := range Explain(f, "program", r.Programs[0]) {
		got = append(got, fmt.Sprintf("%s:%d %s %q -> %q, %q %v", fact.Key, fact.Line, fact.From, fact.Written, fact.Value, fact.First, fact.Expanded))
	}
	expectLines(t, "facts", got,
		`command:5  "run %(here)s %(program_name)s%(process_num)d %(ENV_HOME)s" -> "run /etc %(program_name)s%(process_num)d %(ENV_HOME)s", "run /etc web0 %(ENV_HOME)s" `+
			`[{here when the file is read} {program_name for each process} {process_num for each process} {ENV_HOME on the machine that runs it}]`,
		`process_name:8  "%(host_node_name)s-%(process_num)d" -> "desk-%(process_num)d", "desk-0" [{host_node_name when the file is read} {process_num for each process}]`,
		`numprocs:7  "%(ENV_N)s" -> "3", "" [{ENV_N when the file is read}]`,
		`auto_start:6  "no" -> "false", "" []`,
		`user:2 DEFAULT "%(ENV_X)s" -> "%(ENV_X)s", "" [{ENV_X on the machine that runs it}]`,
		`environment:4  "" -> "A", "" [{process_num for each process}]`,
		`stdout_logfile:9  "/log/%(group_name)s" -> "/log/%(group_name)s", "/log/web" [{group_name for each process}]`)
	if file, line := Place(f, "program", "web"); file != "/etc/x.ini" || line != 3 {
		t.Errorf("web stands at %s:%d", file, line)
	}
}
