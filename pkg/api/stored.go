package api

// Rest are the members of a JSON object that this version does not know, as a JSON object; "" for none. A newer version wrote them. A type
// that is read, changed and written back has a Rest, and what makes a new value of an earlier one takes it over; store.Decode
// and store.Encode fill it and write it. The others are written whole by the one who knows all that they say.
type Rest string

// Stored is a value as it stands in the store.
type Stored[T any] struct {
	Value T
	// Created and Rev are the store's revisions at which it was created and changed last.
	Created, Rev int64
	// Lease on which it stands; 0 is none.
	Lease int64
}
