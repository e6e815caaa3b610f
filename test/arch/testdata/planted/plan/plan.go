// Package plan looks pure: what it imports is of this module.
package plan

import "planted.example/helper"

// Decide reads a file, two calls further on.
func Decide() string { return helper.Name() }
