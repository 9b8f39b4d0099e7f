package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
)

// A monitor speaks QMP, the QEMU Machine Protocol, over a connection.
type monitor struct {
	mu    sync.Mutex // one command at a time
	conn  net.Conn
	dec   *json.Decoder
	ready bool // capabilities have been negotiated
}

func newMonitor(c net.Conn) *monitor { return &monitor{conn: c, dec: json.NewDecoder(c)} }

func (m *monitor) close() { m.conn.Close() }

// human runs a command of the human monitor, which has some that QMP has not. It
// says nothing when all went well.
func (m *monitor) human(line string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.negotiate(); err != nil {
		return err
	}
	result, err := m.execute("human-monitor-command", map[string]string{"command-line": line})
	if err != nil {
		return fmt.Errorf("qemu: %s: %w", line, err)
	}
	var said string
	if err := json.Unmarshal(result, &said); err != nil {
		return fmt.Errorf("qemu: %s: %w", line, err)
	}
	if said = strings.TrimSpace(said); said != "" {
		return fmt.Errorf("qemu: %s: %s", line, said)
	}
	return nil
}

// negotiate makes qemu take commands, and tell of events. It may be called again.
func (m *monitor) negotiate() error {
	if m.ready {
		return nil
	}
	if _, err := m.execute("qmp_capabilities", nil); err != nil {
		return fmt.Errorf("qemu's monitor: %w", err)
	}
	m.ready = true
	return nil
}

// rebooted reads the events that nobody has read, to the end of a machine that has
// ended, and says whether it was by a reset. qemu calls it SHUTDOWN all the same,
// because of -no-reboot.
func (m *monitor) rebooted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	reset := false
	for {
		var event struct {
			Event string `json:"event"`
			Data  struct {
				Reason string `json:"reason"`
			} `json:"data"`
		}
		if err := m.dec.Decode(&event); err != nil {
			return reset
		}
		reset = reset || event.Event == "SHUTDOWN" && event.Data.Reason == "guest-reset"
	}
}

// execute sends a command and waits for its answer, past the greeting and events.
func (m *monitor) execute(command string, arguments any) (json.RawMessage, error) {
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(m.conn).Encode(request); err != nil {
		return nil, err
	}
	for {
		var answer struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := m.dec.Decode(&answer); err != nil {
			return nil, err
		}
		switch {
		case answer.Error != nil:
			return nil, errors.New(answer.Error.Desc)
		case answer.Return != nil:
			return answer.Return, nil
		}
	}
}
