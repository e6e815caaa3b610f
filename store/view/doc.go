// Package view is what stands in the store about programs, processes and machines, decoded and joined: the one read model
// of whoever wants to know how things are.
//
// A View never changes. Reset and Apply make the next one of it, of a listing or of what a watch brought, and tell what
// changed. The next one shares with it all that is the same, so a change costs a little however much there is, and a
// reader may keep a View for as long as it likes, without a lock, while its owner goes on.
//
// # What is watched
//
// A view is made of the keys of store.Keys.State: one range, from intents/ to programs/, which has machines/ and owners/
// within it, and neither the history, which is large, nor the election. It is followed by one watch of that range. etcd
// sends the changes of one revision together to one watch, but several watches are independent of one another: nothing
// says that the second one has come to where the first one is, but a progress notification, which servers before 3.4.25
// and 3.5.8 send too early. So there is one watch and not one a subtree, and what one transaction wrote, such as a
// program with the intents of its processes, comes together. The price is that the range holds keys/ and loads/, too,
// which are few and rarely change: who follows it must be allowed to read the signing key. (Others may list by subtrees.)
//
// A value that cannot be read is not taken for absent: it is Broken, with the reason, at its process, machine or program.
package view
