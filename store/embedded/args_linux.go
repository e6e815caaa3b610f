package embedded

import "strconv"

// Args are the arguments with which distsuperd becomes the etcd of a state directory. They are
// whole: the child must not read a file that may have changed since.
func Args(cfg Config) []string {
	return []string{"etcd", "--state-dir=" + cfg.StateDir, "--id=" + cfg.Name, "--embedded-etcd-listen=" + cfg.Listen, "--embedded-etcd-peer-listen=" + cfg.Peer,
		"--embedded-etcd-quota=" + strconv.FormatInt(cfg.Quota, 10)}
}
