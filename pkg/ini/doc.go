// Package ini reads and writes configuration files in supervisor's grammar.
//
// It promises that a file means here what it means to supervisor: Python's
// RawConfigParser, Python's % formatting, Python's shlex, and the value types
// that supervisor builds upon them. Where supervisor loses data without a word,
// this package returns an error instead; each such place says so in its comment.
//
// The layers, each usable without the others:
//
//	Load, Parse                 text to sections, keys and values, with their places
//	Expand, ExpandKnown         %(name)s in a value
//	ParseBool, ParseBytes...    one value to one Go type
//	ParseEnvironment..., Split  the two values with a syntax of their own
//	Builder, Format...          back to text
//
// The package knows no program and no option: which sections and keys exist,
// which names may be expanded where, and what is done with a value belong to its
// callers. No value is read differently on another operating system, so that a
// file means the same on the desk where it is written and in the fleet.
//
// Nothing is changed after Load or Parse have returned, so a File may be read by
// several goroutines at once.
package ini
