//go:build !unix

package config

import "os"

// refuseShared has nothing to look at: there is no root, and the daemons do not run here.
func refuseShared(string, os.FileInfo) error { return nil }

// ownerOf is not known here.
func ownerOf(os.FileInfo) (uid int, ok bool) { return 0, false }

func linksOf(os.FileInfo) int { return 1 }
