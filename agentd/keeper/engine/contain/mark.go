package contain

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/distsuper/distsuper/pkg/procfs"
)

// Variables that mark what a keeper started, in the environment of each process.
const (
	envProcess = "DISTSUPER_PROCESS"
	envToken   = "DISTSUPER_TOKEN"
	envKeeper  = "DISTSUPER_KEEPER"
)

// Mark names a run as the environment of its processes does. The keeper is part of it: of a store in memory, which begins
// anew with each keeper, a later run has the same token.
type Mark struct {
	Keeper  string `json:"keeper"` // its instance
	Process string `json:"process"`
	Token   string `json:"token"`
}

// NewMark is the mark of a process under a token.
func NewMark(instance, process string, token int64) Mark {
	return Mark{Keeper: instance, Process: process, Token: strconv.FormatInt(token, 10)}
}

// Environment is the mark as the variables that every process of the run inherits.
func (m Mark) Environment() map[string]string {
	return map[string]string{envKeeper: m.Keeper, envProcess: m.Process, envToken: m.Token}
}

// MarkOf reads the mark in a process's first environment; the zero Mark when it has none or may not be read.
func MarkOf(pid int) Mark {
	data, err := procfs.Environ(pid)
	if err != nil || !bytes.Contains(data, []byte(envKeeper+"=")) {
		return Mark{}
	}
	var m Mark
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		switch name, value, _ := strings.Cut(string(entry), "="); name {
		case envKeeper:
			m.Keeper = value
		case envProcess:
			m.Process = value
		case envToken:
			m.Token = value
		}
	}
	if m.Keeper == "" {
		return Mark{}
	}
	return m
}
