// Package agent is none of a command's business.
package agent

// Run runs.
func Run() {}
