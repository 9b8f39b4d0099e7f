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
// memory such as 64Mi that it has written to, or both, until the time is up. As
// the stress(1) of Kubernetes' documentation it takes --vm N --vm-bytes SIZE:
// the size N times.
func Stress(args []string) error {
	o, _, err := tool.Parse(shorten(args), "c:m:t:n:k:")
	if err != nil {
		return err
	}
	if !o.Has('c') && !o.Has('m') && !o.Has('n') {
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
	if o.Has('m') || o.Has('n') {
		size, err := memory(o)
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

// memory is what all workers together hold; each has 256 MiB if nothing is said.
func memory(o tool.Options) (size int64, err error) {
	size, workers := int64(256<<20), 1
	if o.Has('m') {
		if size, err = bytes(o['m']); err != nil {
			return 0, err
		}
	}
	if o.Has('n') {
		if workers, err = strconv.Atoi(o['n']); err != nil {
			return 0, err
		}
	}
	return size * int64(workers), nil
}

// shorten takes the long options of stress(1), too. What is held is held to the
// end, however long --vm-hang (-k) would have it.
func shorten(args []string) []string {
	long := map[string]string{"--cpu": "-c", "--vm": "-n", "--vm-bytes": "-m", "--vm-hang": "-k", "--mem": "-m", "--timeout": "-t"}
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
