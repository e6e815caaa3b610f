// Package controller is the leader: it campaigns, and while it leads it places processes on machines
// and moves them when their machine dies.
//
// Core is a state machine in one goroutine: Step takes the time and one event (a change of the
// store, an answer, a tick) and returns effects (transactions, questions). What is to be done is decided by
// package plan; Core decides when: one transaction in flight for each process, many processes
// in one when many have to move, again after a while when one failed. Controller is the shell
// around it, which does the I/O.
//
// Every replica keeps its view warm, leader or not, so that a new leader acts at once. Every
// write but the trimming of histories carries the leadership as a condition: a former leader's write fails, and it steps down.
package controller
