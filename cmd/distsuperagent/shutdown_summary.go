package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/distsuper/distsuper/agentd/keeper"
	"github.com/distsuper/distsuper/pkg/api"
)

// shutdownSummary says what becomes of the processes of a keeper whose agent has ended, one line for each kind.
func shutdownSummary(s keeper.Snapshot) []string {
	var kept, fenced []string
	longest := int64(0)
	ttl := map[int64]int64{}
	for _, l := range s.Leases {
		ttl[l.ID] = l.TTL
	}
	for _, r := range s.Runs {
		switch {
		case r.Done:
		case r.OnPartition == api.PartitionKeep:
			kept = append(kept, r.ID)
		default:
			fenced = append(fenced, r.ID)
			for _, l := range r.Leases {
				longest = max(longest, ttl[l])
			}
		}
	}
	var lines []string
	if len(fenced) > 0 {
		lines = append(lines, fmt.Sprintf("%s: running under the keeper until their leases run out, at most %d s from now; then stopped here, and free to start elsewhere. `distsuperagent start` before that keeps them", names(fenced), longest))
	}
	if len(kept) > 0 {
		lines = append(lines, fmt.Sprintf("%s: running on under the keeper (on_partition = keep)", names(kept)))
	}
	return lines
}

// names lists some processes, not hundreds.
func names(ids []string) string {
	const most = 10
	slices.Sort(ids)
	if len(ids) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:most], ", "), len(ids)-most)
	}
	return strings.Join(ids, ", ")
}
