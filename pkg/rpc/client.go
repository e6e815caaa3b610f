package rpc

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"time"

	"github.com/distsuper/distsuper/pkg/api"
	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/mtls"
	"github.com/distsuper/distsuper/pkg/promise"
)

// callTimeout is what a call gets whose context has no deadline. A log has none but for its beginning.
const callTimeout = 5 * time.Second

// Client calls the API of one daemon: an agent, directly or through a controller, or a controller itself. It is safe for concurrent use.
type Client struct {
	addr    string
	machine string // "" when called directly
	within  time.Duration
	http    *http.Client
}

// NewClient calls the daemon at addr, host:port or unix:/path of a socket on this host, with a configuration of mtls.ClientConfig.
func NewClient(addr string, conf *tls.Config) *Client {
	return &Client{addr: addr, http: &http.Client{Transport: &http.Transport{
		TLSClientConfig:       conf,
		DialContext:           dialer(addr),
		TLSHandshakeTimeout:   callTimeout,
		ResponseHeaderTimeout: 2 * callTimeout,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   2,
	}}}
}

// Through makes a client of a controller's address call the agent of a machine.
func (c *Client) Through(machine string) *Client {
	through := *c
	through.machine = machine
	return &through
}

// Within makes a client whose daemon has so long to begin an answer, whatever deadline a call has; else the call fails with
// ErrSilent. A log that has begun takes any time, and so does what changes something once it is sent: it may be done.
func (c *Client) Within(d time.Duration) *Client {
	hasty := *c
	hasty.within = d
	return &hasty
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Health asks the agent how it is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	var h Health
	return h, c.get(ctx, PathHealth, nil, &h)
}

// Processes lists the agent's runs.
func (c *Client) Processes(ctx context.Context) ([]Run, error) {
	var list []Run
	return list, c.get(ctx, PathProcesses, nil, &list)
}

// Runs asks whether anything of the process may be alive there. Only a nil error makes it an answer.
func (c *Client) Runs(ctx context.Context, process string, token int64) (bool, error) {
	var r Runs
	err := c.get(ctx, PathRuns, processQuery(process, token), &r)
	return r.Runs, err
}

// Signal sends a signal, named as HUP, to the process.
func (c *Client) Signal(ctx context.Context, process string, token int64, signal string) error {
	q := processQuery(process, token)
	q.Set("signal", signal)
	return c.post(ctx, PathSignal, q, nil)
}

// Stop asks the agent to stop the process, for a time when the fleet cannot be asked. The fleet is told when it can be, and the process
// stays stopped. A nil error says that it is being stopped.
func (c *Client) Stop(ctx context.Context, process string, token int64) error {
	return c.post(ctx, PathStop, processQuery(process, token), nil)
}

// Stdin writes to the process's standard input, at most MaxStdin bytes.
func (c *Client) Stdin(ctx context.Context, process string, token int64, data []byte) error {
	return c.post(ctx, PathStdin, processQuery(process, token), data)
}

// Log reads a part of a process's log, until ctx ends or the stream is closed.
func (c *Client) Log(ctx context.Context, process, channel string, r logstream.Range) (*logstream.Stream, error) {
	q := r.Query(lastBytes)
	q.Set("process", process)
	q.Set("channel", channel)
	return c.log(ctx, PathLog, q)
}

// log reads what is sent byte by byte.
func (c *Client) log(ctx context.Context, path string, q url.Values) (*logstream.Stream, error) {
	answer, err := c.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return nil, err
	}
	return logstream.Open(answer), nil
}

// Clear empties the logs of a process.
func (c *Client) Clear(ctx context.Context, process string) error {
	return c.post(ctx, PathClear, url.Values{"process": {process}}, nil)
}

// Promise asks a controller to leave runs alone, and waits for its answer until ctx ends.
func (c *Client) Promise(ctx context.Context, ask promise.Ask) (answer promise.Answer, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return answer, fmt.Errorf("%s: %w", c.name(), err)
	}
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	r, err := c.do(ctx, http.MethodPost, PathPromise, nil, body)
	if err != nil {
		return answer, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("%s: read the answer: %w", c.name(), err)
	}
	return answer, nil
}

// processQuery names a process and its token.
func processQuery(process string, token int64) url.Values {
	return url.Values{"process": {process}, "token": {strconv.FormatInt(token, 10)}}
}

func (c *Client) get(ctx context.Context, path string, q url.Values, into any) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	answer, err := c.do(ctx, http.MethodGet, path, q, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: read the answer: %w", c.name(), err)
	}
	return nil
}

func (c *Client) post(ctx context.Context, path string, q url.Values, body []byte) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	answer, err := c.do(ctx, http.MethodPost, path, q, body)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// withTimeout gives a context without a deadline that of callTimeout.
func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}

func (c *Client) name() string {
	if c.machine != "" {
		return fmt.Sprintf("agent of %s through the controller at %s", c.machine, c.addr)
	}
	return "daemon at " + c.addr
}

// do returns an answer of success, whose body the caller closes.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, body []byte) (*http.Response, error) {
	if q == nil {
		q = url.Values{}
	}
	if c.machine != "" {
		q.Set("machine", c.machine)
	}
	ctx, cancel := context.WithCancel(ctx)
	answer, err := c.send(ctx, cancel, method, path, q, body)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %w", c.name(), err)
	}
	answer.Body = endsContext{answer.Body, cancel}
	return answer, nil
}

// endsContext is a body with which the context of its request ends.
type endsContext struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b endsContext) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// send returns an answer of success, for which it waits as long as the client does. cancel ends ctx.
func (c *Client) send(ctx context.Context, cancel context.CancelFunc, method, path string, q url.Values, body []byte) (*http.Response, error) {
	where := url.URL{Scheme: "https", Host: host(c.addr), Path: path, RawQuery: q.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, where.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	limit := newLimit(c.within, cancel)
	if method != http.MethodGet {
		request = request.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: limit.met}))
	}
	answer, err := c.http.Do(request)
	switch limit.met(); {
	case limit.passed():
		if err == nil {
			answer.Body.Close()
		}
		return nil, fmt.Errorf("%w within %v", ErrSilent, c.within)
	case err != nil:
		return nil, explain(err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer, nil
	}
	defer answer.Body.Close()
	failure := new(Error)
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if json.Unmarshal(text, failure) != nil || failure.Code == "" {
		failure = &Error{Code: "failed", Text: answer.Status}
	}
	return nil, failure
}

// explain adds to failures of trust what to do about them.
func explain(err error) error {
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err // without the address, which the caller names
	}
	switch {
	case errors.Is(err, mtls.ErrWrongPin):
		return fmt.Errorf("%w: another daemon answers there, or it was set up again and has not published itself yet", err)
	case isAlert(err):
		// A refused certificate comes back as an alert without words; its log has them.
		return fmt.Errorf("it refuses our certificate (%w): its log says why; are the clocks of both hosts right, and is this the same cluster?", err)
	}
	return err
}

// isAlert reports whether the other side ended the handshake by an alert, which package tls tells apart by Op alone.
func isAlert(err error) bool {
	op := new(net.OpError)
	return errors.As(err, &op) && op.Op == "remote error"
}

// Agents calls the agents of machines as one daemon.
type Agents struct {
	Cert tls.Certificate
}

// Client calls the agent of a machine, which Close ends.
func (a Agents) Client(m api.MachineInfo) (*Client, error) {
	if m.API == "" || m.Fingerprint == "" {
		return nil, fmt.Errorf("agent of %s: it has published no address", m.Name)
	}
	return NewClient(m.API, mtls.ClientConfig(a.Cert, m.Fingerprint)), nil
}

// Runs asks the agent of a machine whether anything of the process's run may be alive.
func (a Agents) Runs(ctx context.Context, m api.MachineInfo, process string, token int64) (bool, error) {
	c, err := a.Client(m)
	if err != nil {
		return false, err
	}
	defer c.Close()
	return c.Runs(ctx, process, token)
}
