package keeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/distsuper/distsuper/pkg/logstream"
	"github.com/distsuper/distsuper/pkg/privatesock"
)

// CallTimeout bounds every call but Changes, Transitions and Log, whatever the caller's context allows. The keeper answers
// when its loop has taken a call in, which is a matter of milliseconds.
const CallTimeout = 10 * time.Second

// ErrNoKeeper: nobody listens on the socket. Start a keeper.
var ErrNoKeeper = errors.New("no keeper listens")

// Client is a Keeper behind a socket. It may be used from any goroutine, and outlives the keeper: the next
// call goes to whoever listens then.
type Client struct {
	path string
	http *http.Client
}

var _ Keeper = (*Client)(nil)

// Dial makes a client of the keeper that listens on path, see SocketPath. It connects at the first call. The other
// end must belong to our own user or root.
func Dial(path string) *Client {
	dialer := &net.Dialer{Timeout: CallTimeout}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, "unix", path)
			if err != nil {
				if ctx.Err() == nil {
					err = fmt.Errorf("%w on %s: %w", ErrNoKeeper, path, err)
				}
				return nil, err
			}
			if err := privatesock.CheckPeer(conn); err != nil {
				conn.Close()
				return nil, err
			}
			return conn, nil
		},
		MaxIdleConnsPerHost: 4,
		DisableCompression:  true,
	}}}
}

// Close drops the idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Hello implements Keeper.
func (c *Client) Hello(ctx context.Context) (h Hello, err error) {
	return h, c.quick(ctx, "hello", nothing{}, &h)
}

// SetOwner implements Keeper.
func (c *Client) SetOwner(ctx context.Context, owner string) error {
	return c.quick(ctx, "owner", ownerBody{owner}, nil)
}

// Changes implements Keeper. Only ctx bounds it.
func (c *Client) Changes(ctx context.Context, since uint64) (s Snapshot, err error) {
	return s, c.call(ctx, "changes", sinceBody{since}, &s)
}

// Transitions implements Keeper. Only ctx bounds it.
func (c *Client) Transitions(ctx context.Context, after Cursor) (t Transitions, err error) {
	return t, c.call(ctx, "transitions", after, &t)
}

// Start implements Keeper.
func (c *Client) Start(ctx context.Context, r StartRequest) error {
	return c.quick(ctx, "start", r, nil)
}

// Update implements Keeper.
func (c *Client) Update(ctx context.Context, r StartRequest) error {
	return c.quick(ctx, "update", r, nil)
}

// Stop implements Keeper.
func (c *Client) Stop(ctx context.Context, ref Ref) error { return c.quick(ctx, "stop", ref, nil) }

// StopByHand implements Keeper.
func (c *Client) StopByHand(ctx context.Context, ref Ref, by string) error {
	return c.quick(ctx, "stopbyhand", byHandBody{ref, by}, nil)
}

// Kill implements Keeper.
func (c *Client) Kill(ctx context.Context, ref Ref) error { return c.quick(ctx, "kill", ref, nil) }

// Renew implements Keeper.
func (c *Client) Renew(ctx context.Context, leases []Lease) error {
	return c.quick(ctx, "renew", leasesBody{leases}, nil)
}

// Hold implements Keeper.
func (c *Client) Hold(ctx context.Context, p Promises) error { return c.quick(ctx, "hold", p, nil) }

// Forget implements Keeper.
func (c *Client) Forget(ctx context.Context, ref Ref, remove bool) error {
	return c.quick(ctx, "forget", forgetBody{ref, remove}, nil)
}

// Signal implements Keeper.
func (c *Client) Signal(ctx context.Context, ref Ref, signal string) error {
	return c.quick(ctx, "signal", signalBody{ref, signal}, nil)
}

// Stdin implements Keeper.
func (c *Client) Stdin(ctx context.Context, ref Ref, data []byte) error {
	return c.quick(ctx, "stdin", stdinBody{ref, data}, nil)
}

// ClearLogs implements Keeper.
func (c *Client) ClearLogs(ctx context.Context, id string) error {
	return c.quick(ctx, "clearlogs", idBody{id}, nil)
}

// ReopenLogs implements Keeper.
func (c *Client) ReopenLogs(ctx context.Context) error {
	return c.quick(ctx, "reopenlogs", nothing{}, nil)
}

// RemoveLogs implements Keeper.
func (c *Client) RemoveLogs(ctx context.Context, id string) error {
	return c.quick(ctx, "removelogs", idBody{id}, nil)
}

// Shutdown implements Keeper.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.quick(ctx, "shutdown", nothing{}, nil)
}

// Log implements Keeper. The stream ends with ctx or Close.
func (c *Client) Log(ctx context.Context, id, channel string, r logstream.Range) (*logstream.Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	late := time.AfterFunc(CallTimeout, cancel) // for the beginning only
	q := r.Query(lastBytes)
	q.Set("id", id)
	q.Set("channel", channel)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://keeper/v1/log?"+q.Encode(), nil)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("keeper log: %w", err)
	}
	answer, err := c.http.Do(request)
	if err == nil && !late.Stop() {
		answer.Body.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("keeper log: %w", bare(err))
	}
	if answer.StatusCode != http.StatusOK {
		defer cancel()
		return nil, failure(answer)
	}
	stream := logstream.Open(answer)
	stream.ReadCloser = &cancelling{stream.ReadCloser, cancel}
	return stream, nil
}

// cancelling ends its request with its reading.
type cancelling struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (s *cancelling) Close() error {
	s.cancel()
	return s.ReadCloser.Close()
}

// quick is a call that the keeper answers at once.
func (c *Client) quick(ctx context.Context, call string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	return c.call(ctx, call, in, out)
}

// onceOnly are the calls that mean something else the second time. All others are made again when an idle connection turns out to be
// closed, as it is by a keeper that has been replaced in place.
var onceOnly = []string{"signal", "stdin", "forget"}

func (c *Client) call(ctx context.Context, call string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("keeper %s: %w", call, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://keeper/v1/"+call, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("keeper %s: %w", call, err)
	}
	if !slices.Contains(onceOnly, call) {
		request.Header["Idempotency-Key"] = []string{} // net/http sends it again over another connection, and nothing of this
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("keeper %s: %w", call, bare(err))
	}
	if answer.StatusCode != http.StatusOK {
		return failure(answer)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		return fmt.Errorf("keeper %s: read the answer: %w", call, err)
	}
	return nil
}

// failure reads the error of an answer.
func failure(answer *http.Response) error {
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("keeper: read the answer: %w", err)
	}
	return decodeError(text, answer.Status)
}

// bare takes off net/http's words about an address that does not exist.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
