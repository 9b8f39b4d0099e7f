package spec

import (
	"errors"
	"fmt"
	"os"

	"github.com/moby/profiles/seccomp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newSeccomp returns the filter of system calls. Without libseccomp the
// default profile is left out, and the runtime's status says Unconfined; a
// profile that was named is refused instead.
func newSeccomp(sec *runtimeapi.LinuxContainerSecurityContext, h Host, s *specs.Spec) (*specs.LinuxSeccomp, error) {
	profile := sec.GetSeccomp()
	if sec.GetPrivileged() || profile == nil {
		return nil, nil
	}
	switch profile.GetProfileType() {
	case runtimeapi.SecurityProfile_Unconfined:
		return nil, nil
	case runtimeapi.SecurityProfile_RuntimeDefault:
		if !h.Seccomp {
			return nil, nil
		}
		return seccomp.GetDefaultProfile(s)
	case runtimeapi.SecurityProfile_Localhost:
		if !h.Seccomp {
			return nil, errors.New("a seccomp profile is set, but runtime-shim was built without libseccomp (build tag seccomp)")
		}
		body, err := os.ReadFile(profile.GetLocalhostRef())
		if err != nil {
			return nil, fmt.Errorf("seccomp profile: %w", err)
		}
		return seccomp.LoadProfile(string(body), s)
	}
	return nil, fmt.Errorf("unknown type of seccomp profile: %d", profile.GetProfileType())
}
