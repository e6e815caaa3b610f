package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/distsuper/distsuper/hack/docs"
)

// The columns of a page: those of the terminal, up to a width that reads well.
const (
	pageWidth    = 80 // where no terminal is
	maxPageWidth = 100
)

// printTopic prints a page of the documentation, and returns false when there is none of that name.
func (c *ctl) printTopic(words []string) (bool, error) {
	page, found := docs.Page(strings.Join(words, " "))
	if !found {
		return false, nil
	}
	width := pageWidth
	if columns, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && columns > 0 {
		width = min(columns, maxPageWidth)
	}
	_, err := io.WriteString(c.out, docs.Text(page, width))
	return true, err
}

// listTopics writes the topics under a heading.
func listTopics(w io.Writer) error {
	var rows [][]string
	for _, t := range docs.Topics {
		rows = append(rows, []string{t.Name, t.About})
	}
	if err := table(w, []string{"TOPIC", "ABOUT"}, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\n\"help TOPIC\" prints the page.")
	return err
}

// topicNames are what completion offers behind help, with what each is about.
func topicNames() []string {
	var names []string
	for _, t := range docs.Topics {
		names = append(names, t.Name+"\t"+t.About)
	}
	return names
}
