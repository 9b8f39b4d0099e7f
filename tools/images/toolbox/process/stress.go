package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/k8s-groundup/groundup/tools/images/toolbox/tool"
)

// Stress is stress [-c CPUS] [-m SIZE] [-t DURATION]: it keeps CPUs busy, holds
// memory such as 64Mi that it has written to, or both, until the time is up.
func Stress(args []string) error {
	o, _, err := tool.Parse(shorten(args), "c:m:t:")
	if err != nil {
		return err
	}
	if !o.Has('c') && !o.Has('m') {
		return errors.New("want -c CPUS, -m SIZE, or both")
	}
	limit := time.Duration(1<<63 - 1)
	if o.Has('t') {
		if limit, err = duration(o['t']); err != nil {
			return err
		}
	}
	done := time.After(limit)
	if o.Has('c') {
		n, err := strconv.Atoi(o['c'])
		if err != nil {
			return err
		}
		for range n {
			go spin()
		}
	}
	var held [][]byte
	if o.Has('m') {
		size, err := bytes(o['m'])
		if err != nil {
			return err
		}
		held = hold(size)
		fmt.Fprintf(os.Stderr, "holding %d bytes\n", size)
	}
	<-done
	_ = held // until here
	return nil
}

// shorten takes the long options of stress(1), too.
func shorten(args []string) []string {
	long := map[string]string{"--cpu": "-c", "--vm-bytes": "-m", "--mem": "-m", "--timeout": "-t"}
	var out []string
	for _, a := range args {
		name, value, joined := strings.Cut(a, "=")
		if short := long[name]; short != "" {
			a = short
			if joined {
				a += value
			}
		}
		out = append(out, a)
	}
	return out
}

func spin() {
	//lint:ignore SA5002 a busy processor is what stress is for
	for {
	}
}

// hold takes a MiB at a time and writes to every page: memory that is not
// touched is not there.
func hold(size int64) (held [][]byte) {
	for size > 0 {
		b := make([]byte, min(size, 1<<20))
		for i := 0; i < len(b); i += os.Getpagesize() {
			b[i] = 1
		}
		held, size = append(held, b), size-int64(len(b))
	}
	return held
}

// bytes reads 64Mi, 64M, 64m or a plain number.
func bytes(word string) (int64, error) {
	digits := strings.TrimRight(word, "KMGikmgbB")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size", word)
	}
	switch unit := strings.ToLower(word[len(digits):]); {
	case strings.HasPrefix(unit, "k"):
		n <<= 10
	case strings.HasPrefix(unit, "m"):
		n <<= 20
	case strings.HasPrefix(unit, "g"):
		n <<= 30
	}
	return n, nil
}
