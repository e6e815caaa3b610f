// Package parity holds distsuper to the real supervisor: the same input to both, and the same outcome or a difference
// that is named with its reason. But for the table of these differences it is tests only.
//
// Configurations are read by both parsers; what differs is a row of Differences, which
// hack/docs/differences.md shows. Whole daemons, distsuperd solo and
// supervisord, run the same programs: their logs tell the same of each. Command lines go through distsuperctl and
// supervisorctl: standard output and exit codes are equal, but for the differences in answer_differences_test.go, each of which
// has to be met. planted_test.go proves that what is wrong is found.
//
// Tests with Long in their name run only with DISTSUPER_LONG=1.
package parity
