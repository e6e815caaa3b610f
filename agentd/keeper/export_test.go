package keeper

import "net/http"

// HTTPClient lets tests speak to a server past the client.
func HTTPClient(c *Client) *http.Client { return c.http }
