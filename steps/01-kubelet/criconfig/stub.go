package criconfig

import (
	"errors"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

var errUnwritten = errors.New("not written yet")

func sandbox(node Node, pod *corev1.Pod, attempt uint32, cgroupParent string) (*runtimeapi.PodSandboxConfig, error) {
	return nil, errUnwritten
}

func container(in Input) (*runtimeapi.ContainerConfig, error) { return nil, errUnwritten }

// A DNS is the content of a resolv.conf.
type DNS struct {
	Servers  []string
	Searches []string
	Options  []string
}

// ParseResolvConf reads the file format of resolv.conf(5).
func ParseResolvConf(r io.Reader) (DNS, error) { return DNS{}, errUnwritten }

// A Rejection says why a pod can never run on this node. Reason and Message
// are what the pod's status shows, its phase being Failed.
type Rejection struct {
	Reason, Message string
}

// Admit returns why the pod can never run on this node, or nil.
func Admit(node Node, pod *corev1.Pod) *Rejection { return nil }

// Unsupported lists the fields that a pod sets and this step does not honour:
// neither this package nor the volumes do anything about them. It is the one
// place that knows; the manifest package turns it into warnings. Fields that
// another component would honour (nodeSelector: the scheduler) are in the list
// because no such component is here.
func Unsupported(pod *corev1.Pod) field.ErrorList { return nil }

// QOS returns the pod's class (docs: "Configure Quality of Service for Pods").
func QOS(pod *corev1.Pod) corev1.PodQOSClass { return corev1.PodQOSBestEffort }

// Ephemeral returns an ephemeral container as an ordinary one.
func Ephemeral(c *corev1.EphemeralContainer) *corev1.Container { return nil }

// Hostname returns the name that the pod's processes see and, for a pod with a
// subdomain, the domain that completes it.
func Hostname(node Node, pod *corev1.Pod) (hostname, domain string, err error) {
	return "", "", errUnwritten
}

// HostsFile returns the content of the /etc/hosts that the kubelet manages for
// a pod. NodeHosts is the node's own file, which a hostNetwork pod's starts
// with.
func HostsFile(node Node, pod *corev1.Pod, podIPs []string, nodeHosts []byte) ([]byte, error) {
	return nil, errUnwritten
}

// ManagesHosts says whether a container gets the managed /etc/hosts: not when
// it mounts something there itself.
func ManagesHosts(c *corev1.Container) bool { return false }

// An Info is what the labels and annotations of a container or sandbox, which
// are all that a restarted kubelet finds, tell about it.
type Info struct {
	PodName, PodNamespace string
	PodUID                types.UID

	// Of containers only.
	Container                string
	Hash                     string
	RestartCount             int
	TerminationMessagePath   string
	TerminationMessagePolicy corev1.TerminationMessagePolicy
	PodGracePeriod           *int64
	PodDeletionGracePeriod   *int64
	ContainerPorts           []corev1.ContainerPort
	PreStop                  *corev1.LifecycleHandler
}

// ReadInfo is the inverse of what Sandbox and Container write. Unknown or
// unreadable values are left at zero.
func ReadInfo(labels, annotations map[string]string) Info { return Info{} }

// Hash identifies the parts of a container which, changed, mean that it has to
// be replaced.
func Hash(c *corev1.Container) string { return "" }

// PodDir is everything that the kubelet keeps about a pod: RootDir/pods/UID.
func (n Node) PodDir(uid types.UID) string { return "" }

// ContainerDir is pods/UID/containers/NAME, which holds termination logs.
func (n Node) ContainerDir(uid types.UID, container string) string { return "" }

// HostsPath is where the managed hosts file of a pod is: pods/UID/etc-hosts.
func (n Node) HostsPath(uid types.UID) string { return "" }

// LogDir is the directory of a pod's logs: PodLogsDir/NAMESPACE_NAME_UID.
func (n Node) LogDir(pod *corev1.Pod) string { return "" }

// LogPath is a container's log relative to LogDir: NAME/RESTART.log.
func LogPath(container string, restart uint32) string { return "" }
