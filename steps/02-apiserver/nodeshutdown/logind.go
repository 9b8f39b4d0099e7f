package nodeshutdown

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// The login manager on the bus, see org.freedesktop.login1(5).
const (
	service = "org.freedesktop.login1"
	object  = dbus.ObjectPath("/org/freedesktop/login1")
	manager = "org.freedesktop.login1.Manager"
)

// Dial connects to systemd's login manager.
func Dial() (Logind, error) {
	conn, err := dbus.ConnectSystemBus()
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus (is D-Bus running?): %w", err)
	}
	return &logind{conn}, nil
}

type logind struct{ conn *dbus.Conn }

// MaxDelay implements [Logind].
func (l *logind) MaxDelay() (time.Duration, error) {
	v, err := l.conn.Object(service, object).GetProperty(manager + ".InhibitDelayMaxUSec")
	if err != nil {
		return 0, fmt.Errorf("ask logind how long a shutdown waits: %w", err)
	}
	microseconds, ok := v.Value().(uint64)
	if !ok {
		return 0, fmt.Errorf("ask logind how long a shutdown waits: got %s", v)
	}
	return time.Duration(microseconds) * time.Microsecond, nil
}

// Inhibit implements [Logind]. The lock is a file descriptor.
func (l *logind) Inhibit() (io.Closer, error) {
	var fd dbus.UnixFD
	err := l.conn.Object(service, object).Call(manager+".Inhibit", 0, "shutdown", "kubelet", "Kubelet needs time to handle node shutdown", "delay").Store(&fd)
	if err != nil {
		return nil, fmt.Errorf("take an inhibitor of logind: %w", err)
	}
	return os.NewFile(uintptr(fd), "inhibitor"), nil
}

// Shutdowns implements [Logind].
func (l *logind) Shutdowns() (<-chan bool, error) {
	err := l.conn.AddMatchSignal(dbus.WithMatchInterface(manager), dbus.WithMatchMember("PrepareForShutdown"), dbus.WithMatchObjectPath(object))
	if err != nil {
		return nil, fmt.Errorf("listen to logind: %w", err)
	}
	signals, out := make(chan *dbus.Signal, 8), make(chan bool, 8)
	l.conn.Signal(signals)
	go func() { // ends when the connection does, which closes signals
		defer close(out)
		for s := range signals {
			var begins bool
			if s.Name == manager+".PrepareForShutdown" && dbus.Store(s.Body, &begins) == nil {
				out <- begins
			}
		}
	}()
	return out, nil
}

// Close implements [Logind].
func (l *logind) Close() error { return l.conn.Close() }
