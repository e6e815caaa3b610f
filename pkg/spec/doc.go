// Package spec turns what a user writes about programs into package api's nouns, and back.
//
// Read makes programs of the [program:x] and [group:x] sections of a file, and reads and checks what supervisord
// has besides them: its servers, its listeners, its FastCGI programs; Defaults, Normalize and Validate
// give programs made in Go the same defaults, form and checks; Processes makes the processes of a program;
// Fingerprint tells whether a change restarts them; Diff compares a file's programs with those in the store;
// Conflict finds a process that two programs ask for; Write prints programs as the sections that would give
// them again. Keys is the one table of what may stand in a [program:x].
//
// Everything here is pure: what Read needs to know of the environment its Options carry, and of the directory
// it asks only what a relative file name means.
package spec
