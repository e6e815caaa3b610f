package spec

import (
	"fmt"

	"github.com/distsuper/distsuper/pkg/api"
)

// A ConflictError says that two programs ask for a process of the same name.
type ConflictError struct {
	Process  string
	Programs [2]string
	Sources  [2]string
}

func (e *ConflictError) Error() string {
	of := ""
	if e.Sources[0] != e.Sources[1] {
		of = fmt.Sprintf(" of source %q", e.Sources[0])
	}
	return fmt.Sprintf("the process %s of program %s would be one of program %s%s, too; give one of them another process_name or group",
		e.Process, e.Programs[1], e.Programs[0], of)
}

// Conflict looks for a process that two of the programs ask for, of which only one could run. It returns a
// *ConflictError for the first that it finds, in the order of the programs, or nil. Programs whose processes
// cannot be made are passed over: that is Validate's to tell.
func Conflict(programs []api.Program) error {
	first := map[string]api.Program{}
	for _, p := range programs {
		processes, err := Processes(p)
		if err != nil {
			continue
		}
		for _, proc := range processes {
			id := proc.ID()
			if other, ok := first[id]; ok && other.Name != p.Name {
				return &ConflictError{Process: id, Programs: [2]string{other.Name, p.Name}, Sources: [2]string{other.Source, p.Source}}
			}
			first[id] = p
		}
	}
	return nil
}
