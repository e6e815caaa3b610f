// Package supervisor holds what supervisor has fixed and nobody may change: fault codes, the texts of status
// lines and spawn errors, and the exit codes of its control program.
//
// Other people's scripts and clients read these, so they are supervisor's to the letter and do not
// change. Everything here is pure and runs on every system.
package supervisor
