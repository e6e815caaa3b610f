package tokenstore

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// A Client speaks to a store, one call at a time. After an error that is no StaleError it is of no use any more, and whether a write
// was accepted is open.
type Client struct {
	conn    net.Conn
	answers *bufio.Reader
}

// Dial connects to a store, as net.Dial does.
func Dial(network, address string) (*Client, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn, answers: bufio.NewReader(conn)}, nil
}

// Put writes a value.
func (c *Client) Put(w Write) error {
	answer, err := c.ask(fmt.Sprintf("put %s %d %s %s", w.Process, w.Token, w.Key, w.Value))
	if err != nil || answer == "ok" {
		return err
	}
	if text, stale := strings.CutPrefix(answer, "stale "); stale {
		highest, err := strconv.ParseInt(text, 10, 64)
		if err == nil {
			return StaleError{highest}
		}
	}
	return fmt.Errorf("write %s: the store says %q", w.Key, answer)
}

// Get returns a value; false when there is none.
func (c *Client) Get(key string) (value string, found bool, err error) {
	answer, err := c.ask("get " + key)
	if err != nil || answer == "none" {
		return "", false, err
	}
	if value, found = strings.CutPrefix(answer, "is "); !found {
		err = fmt.Errorf("read %s: the store says %q", key, answer)
	}
	return value, found, err
}

func (c *Client) ask(line string) (string, error) {
	if _, err := fmt.Fprintln(c.conn, line); err != nil {
		return "", err
	}
	answer, err := c.answers.ReadString('\n')
	return strings.TrimSuffix(answer, "\n"), err
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }
