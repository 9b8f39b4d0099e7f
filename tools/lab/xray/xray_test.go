package xray

import (
	"os"
	"slices"
	"testing"
)

func TestParseStatus(t *testing.T) {
	const status = "Name:\tsleep\nUmask:\t0022\nTgid:\t300\nNSpid:\t300\t12\t1\nThreads:\t1\n"
	comm, ids := parseStatus(status)
	if comm != "sleep" || !slices.Equal(ids, []int{300, 12, 1}) {
		t.Errorf("got %s %v, want sleep [300 12 1]", comm, ids)
	}
}

// A node that is this machine counts processes as we do.
func TestThisMachineIsAtDepthZero(t *testing.T) {
	if got, err := depth(os.Getpid()); got != 0 || err != nil {
		t.Errorf("got %d, %v, want 0", got, err)
	}
}
