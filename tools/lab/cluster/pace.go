package cluster

import (
	"os"
	"strconv"
	"time"
)

// Slowness is how many times slower than others this machine is: a virtual one
// whose processor is emulated is told by who has started it (vms/cli).
func Slowness() float64 {
	factor, err := strconv.ParseFloat(os.Getenv("GROUNDUP_VM_FACTOR"), 64)
	if err != nil {
		return 1
	}
	return factor
}

// Stretch is a time limit as it is on this machine.
func Stretch(limit time.Duration) time.Duration {
	return time.Duration(float64(limit) * Slowness())
}
