// Package view is the one read model of the store: what it says about programs, processes and machines, decoded and
// joined.
//
// A View never changes. Reset makes the next View from a listing, Apply from what a watch brought, and both tell what
// changed. Two versions share everything that is the same, so a change costs little however large the fleet is, and a
// reader may keep a View as long as it likes, without a lock, while its owner goes on.
//
// # What is watched
//
// A View is made of the keys in store.Keys.State: one range from intents/ to programs/, which contains machines/ and
// owners/, but neither the history, which is large, nor the election. One watch follows this range. etcd sends the
// changes of one revision together to one watch, but separate watches are independent: only a progress notification
// tells that the second one has reached the revision of the first, and servers before 3.4.25 and 3.5.8 send it too early.
// With a single watch, what one transaction wrote arrives together, such as a program with the intents of its processes.
// The price is that the range also contains keys/, leader and loads/. These are few and rarely change, but who follows
// the range needs the right to read the signing key; pkg/client has a slower way for those who have not.
//
// A value that cannot be decoded does not count as absent: its process, machine or program says that it is Broken, and why.
package view
