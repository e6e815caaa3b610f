// Command bin is a witness as a program of its own: small, so that hundreds of copies start quickly.
package main

import (
	"os"

	"github.com/distsuper/distsuper/test/witness"
)

func main() { os.Exit(witness.Main(os.Args[1:])) }
