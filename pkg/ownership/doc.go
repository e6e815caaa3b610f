// Package ownership finds out whether somebody else could have a say in what a program runs or writes.
//
// A configuration file decides what runs; so does the state directory: a link in the place of its embedded etcd's directory
// makes a daemon join somebody else's fleet, one in the place of its pid file has it overwrite a file of root's. So each of
// them counts only when it, every directory above it and every link on the way belong to this user or to root, and no other
// user can replace any of them. It is what sshd's StrictModes demands of a home directory. A sticky directory, such as /tmp,
// is fine as long as what stands in it is ours. Refusals name the path, its owner and the command that mends it.
//
// On systems without Unix owners everything is taken: no daemon runs there.
package ownership
