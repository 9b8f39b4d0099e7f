package apibench

import (
	"context"
	"net"
	"time"
)

// dialer returns a new function for each client. client-go shares connections
// among clients of equal configurations, and a function is equal to nothing.
func dialer() func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return d.DialContext
}
