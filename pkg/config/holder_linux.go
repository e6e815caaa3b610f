package config

import "github.com/distsuper/distsuper/pkg/hold"

// holderName is what the distsuperd solo of a file holds as long as it lives.
func holderName(file string) string { return "solo-" + soloName(file) }

// HoldSolo takes the place of the one solo of a configuration file; see hold.Take.
func HoldSolo(file string) (h *hold.Hold, pid int, err error) { return hold.Take(holderName(file)) }

// SoloHolder is the pid of the solo that holds a configuration file, 0 for none.
func SoloHolder(file string) int { return hold.By(holderName(file)) }
