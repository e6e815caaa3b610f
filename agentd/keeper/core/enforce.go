//go:build !distsuper_unfenced

package core

// enforcing: deadlines are carried out. It is false only in a build with the tag distsuper_unfenced, which
// is made for one purpose: tests that must see two copies when nobody enforces deadlines, so that the
// same tests, seeing one copy, prove that somebody does. It is a constant, so no setting can reach it.
const enforcing = true
