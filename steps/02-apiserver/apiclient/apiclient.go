// Package apiclient makes the clients with which a component talks to the API
// server.
//
// A kubeconfig tells where it is and who we are. Components speak protobuf, which is
// cheaper than JSON for both sides. The heartbeat has a client of its own: neither a
// flood of other requests nor one that hangs may make a node look dead.
package apiclient

import (
	"fmt"
	"runtime"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Version is what the components of this step call themselves, after the version of
// upstream whose API they follow.
const Version = "v1.37.1+groundup"

// Clients are connections to one API server.
type Clients struct {
	API       kubernetes.Interface
	Heartbeat kubernetes.Interface // its requests fail after a while instead of waiting
}

// A Config says how a component talks.
type Config struct {
	Kubeconfig string
	Component  string        // names the user agent: "kubelet"
	QPS        float32       // requests per second; negative for no limit
	Burst      int           // at a time
	Patience   time.Duration // of a heartbeat
}

// New makes the clients. Nothing is asked yet: the API server may come later.
func New(c Config) (*Clients, error) {
	conf, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.Kubeconfig, err)
	}
	conf.UserAgent = fmt.Sprintf("%s/%s (%s/%s) groundup", c.Component, Version, runtime.GOOS, runtime.GOARCH)
	conf.ContentType = "application/vnd.kubernetes.protobuf"
	conf.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	conf.QPS, conf.Burst = c.QPS, c.Burst
	api, err := kubernetes.NewForConfig(conf)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.Kubeconfig, err)
	}
	slow := rest.CopyConfig(conf)
	slow.QPS, slow.Timeout = -1, c.Patience
	heartbeat, err := kubernetes.NewForConfig(slow)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", c.Kubeconfig, err)
	}
	return &Clients{api, heartbeat}, nil
}
