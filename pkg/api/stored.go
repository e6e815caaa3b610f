package api

// Stored is a value as it stands in the store.
type Stored[T any] struct {
	Value T
	// Created and Rev are the store's revisions at which it was created and changed last.
	Created, Rev int64
	// Lease on which it stands; 0 is none.
	Lease int64
}
