package container

import "github.com/opencontainers/runc/libcontainer/seccomp"

// A FeatureSet tells what this build of the package can do.
type FeatureSet struct {
	Seccomp bool `json:"seccomp"` // built with the tag seccomp, against libseccomp
}

// Features returns what this build can do.
func Features() FeatureSet { return FeatureSet{Seccomp: seccomp.Enabled} }
