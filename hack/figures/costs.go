package main

import (
	"os/exec"
	"regexp"
)

const costTest = "TestACommandAboutOneProcessReadsLittle"

var startCost = regexp.MustCompile(`\[start p0500\]: (\d+) calls, (\d+) entries`)

// costs tells what distsuperctl start asks of the store, its wait included, where one of 1,000 programs is started: as
// the test tells that holds it to little. A tree without that test has no such figure.
func (t *tree) costs(c *column) {
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "^"+costTest+"$", "./cmd/distsuperctl")
	cmd.Dir = c.Tree
	out, _ := cmd.CombinedOutput() // a test that fails tells it, too
	if cost := startCost.FindSubmatch(out); cost != nil {
		c.add("store calls for a start among 1,000 programs", "%s", cost[1])
		c.add("store entries read for it", "%s", cost[2])
	}
}
