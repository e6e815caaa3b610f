package keeper

import "context"

// UpgradeRequest asks a keeper to go on as another binary.
type UpgradeRequest struct {
	// Program is its path; "" is that of the keeper's own, where another file may stand by now.
	Program string `json:"program,omitempty"`
	// Try: only say whether that could be done.
	Try bool `json:"try,omitempty"`
}

// Upgrader is a keeper that can be replaced in place: its process executes another binary, which goes on with everything.
type Upgrader interface {
	// Upgrade returns when the other binary has said that it can go on with the present state, or why not; then nothing is touched. It
	// is executed after the answer: Hello tells of it by Handovers, or by HandoverError.
	Upgrade(ctx context.Context, r UpgradeRequest) error
}

var _ Upgrader = (*Client)(nil)

// Upgrade implements Upgrader. Only ctx bounds it.
func (c *Client) Upgrade(ctx context.Context, r UpgradeRequest) error {
	return c.call(ctx, "upgrade", r, nil)
}
