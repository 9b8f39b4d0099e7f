package frameworktest

import "math/rand/v2"

// Rand returns a source that gives the same numbers each time.
func Rand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }
