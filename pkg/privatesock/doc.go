// Package privatesock opens unix sockets for one user and root, whom the kernel vouches for at each connection, and for those whom an
// administrator has given access.
//
// A mode of 0600 alone is not enough: a directory that somebody else may write lets him put a socket of his own there, and a
// socket can be handed on. So the directory has to be the user's alone, and both ends ask whose the other is.
package privatesock
