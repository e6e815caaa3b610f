// Package launch turns what is asked of a process into what a fork needs, on this machine: its command, environment, directory,
// user and log files.
//
// Host.Resolve looks everything up once, so that a restart looks nothing up; what this machine cannot run is a Refusal with
// supervisor's text. Afterwards Plan.Explain finds out why a fork failed. Both read files and the user database, so
// neither belongs on the keeper's loop.
package launch
