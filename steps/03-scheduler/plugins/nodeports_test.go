package plugins_test

import (
	"testing"

	"github.com/k8s-groundup/groundup/steps/03-scheduler/plugins"
)

func TestNodePorts(t *testing.T) {
	const taken = "Unschedulable: node(s) didn't have free ports for the requested pod ports"
	const web = `spec: {containers: [{name: c, ports: [{hostPort: 80}]}]}`
	const udp = `spec: {containers: [{name: c, ports: [{hostPort: 80, protocol: UDP}]}]}`
	const oneIP = `spec: {containers: [{name: c, ports: [{hostPort: 80, hostIP: 10.0.0.1}]}]}`
	const otherIP = `spec: {containers: [{name: c, ports: [{hostPort: 80, hostIP: 10.0.0.2}]}]}`
	checkVerdicts(t, plugins.NodePorts{}, []verdict{
		{name: "wants none", other: web},
		{name: "free", pod: web},
		{name: "taken", pod: web, other: web, want: taken},
		{name: "other protocol", pod: web, other: udp},
		{name: "one address against all", pod: oneIP, other: web, want: taken},
		{name: "all addresses against one", pod: web, other: oneIP, want: taken},
		{name: "different addresses", pod: oneIP, other: otherIP},
		{name: "sidecar", pod: web, other: `spec: {initContainers: [{name: c, restartPolicy: Always, ports: [{hostPort: 80}]}]}`, want: taken},
		{name: "init container", pod: web, other: `spec: {initContainers: [{name: c, ports: [{hostPort: 80}]}]}`},
	})
	checkHints(t, plugins.NodePorts{}, []hint{
		{name: "pod with the port goes", pod: web, event: podRemoved(t, web), want: true},
		{name: "other pod goes", pod: web, event: podRemoved(t, udp)},
		{name: "node comes", pod: web, event: nodeAdded(t, ""), want: true},
	})
}
