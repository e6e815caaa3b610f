// Package client is the Go API of distsuper: it creates, starts, stops and moves programs, and shows what runs.
//
//	c, err := client.Open(ctx, client.Config{Store: etcd.Config{Endpoints: []string{"10.0.0.1:2379"}}})
//	p := client.Program("worker", "/opt/worker --queue payments")
//	id, err := c.Create(ctx, p)
//	changed, err := c.Start(ctx, id)
//
// A program is named by its name or by its id. An id is "name:N", where N is the revision at which the program
// was made: an id whose program was removed and made anew since is ErrNotFound, so a caller that
// remembers ids never touches a namesake.
//
// Every change returns as soon as what is wanted stands in the store, and says whether it changed anything:
// starting what is wanted, stopping what is not and restarting what has not answered the last restart yet
// change nothing and are no errors. A change happens once or not at all, also when an answer of the
// store gets lost: it is repeated until its outcome is known. What becomes of it is seen by Get and Watch.
//
// Every change notes who made it, in the intent and in the history of its process.
package client
