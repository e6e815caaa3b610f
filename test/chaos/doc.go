// Package chaos plays rounds of real faults: a fleet of five hosts in network namespaces, with three members of etcd and three
// distsuperd, from which daemons, hosts, network and disks are taken away as a seed says, while a user goes on giving commands.
//
// Every supervised process is a tree of witnesses (package witness), and Judge looks into their files afterwards: nothing of one
// copy may live beside anything of another, tokens only rise, what was stopped stays stopped, what should run runs again within the
// bound, and an outage of all of etcd ends nothing that every distsuperd could promise to leave alone. A round plays in namespaces of
// its own, with a first process of its own, so nothing is left of it however it ends.
//
// What no program of a host can guarantee is counted apart: a host all of whose processes stand still and go on later is a virtual
// machine that is paused, and its old copies live for a moment.
package chaos
