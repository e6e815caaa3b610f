// Package config holds the settings of the three programs: how each one is named in the ini
// file, as a flag and in the environment, what it is by default and what it means.
//
// All of that stands in one table (settings.go). The flags, the file that `distsuperctl init
// config` writes and the checks are made from it, so that they cannot disagree.
//
// A setting is taken from its flag, else its environment variable, else the file, else its
// default. The file is the user's distsuper.ini, which all three programs read; its [program:x],
// [group:x] and [include] sections belong to package spec and are left alone here.
package config
