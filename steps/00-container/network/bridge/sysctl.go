package bridge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	errExists   = unix.EEXIST
	errNoDevice = unix.ENODEV
)

// allowForwarding makes the node a router, and lets packets from 127.0.0.1
// leave through the bridge, for connections to a host port of localhost. The
// table drops what could then come in the other way.
func allowForwarding(bridge string) error {
	for _, key := range []string{"ipv4/ip_forward", "ipv4/conf/" + bridge + "/route_localnet"} {
		if err := setSysctl(filepath.Join("/proc/sys/net", key)); err != nil {
			return err
		}
	}
	return nil
}

// setSysctl writes 1, unless it is there already: then a read-only /proc/sys
// does no harm.
func setSysctl(file string) error {
	if now, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(now)) == "1" {
		return nil
	}
	if err := os.WriteFile(file, []byte("1"), 0); err != nil {
		return fmt.Errorf("%w (as root on the node: echo 1 > %s)", err, file)
	}
	return nil
}
