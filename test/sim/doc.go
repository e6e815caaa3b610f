// Package sim runs a whole fleet in one goroutine and in virtual time, with faults drawn from a seed, and looks at every step whether
// the promises are kept.
//
// What decides in it is what decides in the product: controller.Core, agentd.Core, lease.Core, the keeper's core.Core and the functions
// that their shells call are those that are shipped. What is simulated is what lies around them: etcd (package memstore, with etcd's
// semantics), the network, the hosts with clocks of their own, the operating system with its processes, and the users.
//
// A World has everything in it. Its events are in a heap by true time; chance comes from one seed; nothing iterates over a map to
// decide. So a seed has one story, on any machine. Code that waits for an answer, such as that of package client, runs as a task: a
// coroutine that is resumed by the event that it waits for.
//
// There is a file for each kind of node (controller.go, agent.go, keeper.go, etcd.go, user.go) and for each family of faults. Script
// directs a World by hand.
package sim
