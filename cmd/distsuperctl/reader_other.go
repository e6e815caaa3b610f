//go:build !unix

package main

import "io"

// endWithReader does nothing here: the next write tells that nobody reads.
func endWithReader(io.Writer) {}
