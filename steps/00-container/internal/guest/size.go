package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func size() string {
	ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%dx%d", ws.Col, ws.Row)
}
