// Package parity holds distsuper to the real supervisor: the same input to both, and the same outcome or a row in
// spec.Differences that says why not. It has tests only.
package parity
