package shell

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
)

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
}

// traps adds signals to the interpreter's trap, which knows EXIT and ERR. When
// a trapped signal comes, the command that runs is stopped, the action is run,
// and the shell ends: an action can't return to the script. An empty action
// makes the shell ignore the signal.
type traps struct {
	mu      sync.Mutex // guards the fields below
	actions map[os.Signal]string
	caught  os.Signal
	cancel  context.CancelFunc
	notify  chan os.Signal
}

func newTraps() *traps {
	t := &traps{actions: map[os.Signal]string{}, notify: make(chan os.Signal, 1)}
	go func() { // ends with the process
		for s := range t.notify {
			t.catch(s)
		}
	}()
	return t
}

func (t *traps) catch(s os.Signal) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, trapped := t.actions[s]; trapped {
		t.caught = s
		t.cancel()
	}
}

func (t *traps) context() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cancel = cancel
	return ctx, cancel
}

// pending returns the action of the signal that came, if one came.
func (t *traps) pending() (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.caught == nil {
		return "", false
	}
	return t.actions[t.caught], true
}

// call sees every simple command before it is run. kill is a program here: the
// interpreter has only the name of it.
func (t *traps) call(_ context.Context, args []string) ([]string, error) {
	switch args[0] {
	case "kill":
		return append([]string{"env", "kill"}, args[1:]...), nil
	case "trap":
		return t.trap(args), nil
	}
	return args, nil
}

// trap takes the signals out of a trap command and leaves the rest to the
// interpreter.
func (t *traps) trap(args []string) []string {
	if len(args) < 3 || strings.HasPrefix(args[1], "-") && args[1] != "-" {
		return args
	}
	rest := args[:2:2]
	for _, name := range args[2:] {
		s, ok := signals[strings.TrimPrefix(name, "SIG")]
		if !ok {
			rest = append(rest, name)
			continue
		}
		t.set(s, args[1])
	}
	if len(rest) == 2 {
		return []string{"true"}
	}
	return rest
}

func (t *traps) set(s os.Signal, action string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.actions, s)
	switch action {
	case "":
		signal.Ignore(s)
	case "-":
		signal.Reset(s)
	default:
		t.actions[s] = action
		signal.Notify(t.notify, s)
	}
}
