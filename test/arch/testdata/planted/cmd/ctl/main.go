// Ctl imports what it is not said to.
package main

import (
	"planted.example/agent"
	"planted.example/plan"
)

func main() {
	agent.Run()
	println(plan.Decide())
}
