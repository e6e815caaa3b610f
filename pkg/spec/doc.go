// Package spec turns what a user writes about programs into package api's nouns, and back.
//
// Read makes programs of the [program:x] and [group:x] sections of a file; Processes makes the
// processes of a program; Fingerprint tells whether a change restarts them; Diff compares a file's
// programs with those in the store; Write prints a program as the section that would give it again.
// Everything here is pure but Read's look at the environment, which its Options carry.
package spec
