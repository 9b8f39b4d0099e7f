package connect

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
)

// Kubelets knows how to reach them.
type Kubelets struct {
	addresses []corev1.NodeAddressType
	verified  *http.Transport
	trusting  *http.Transport
	proxy     *http.Transport
}

// A KubeletConfig is what [NewKubelets] needs.
type KubeletConfig struct {
	// CertFile and KeyFile are the client's certificate, apiserver-kubelet-client. They are
	// read again for each connection, so a renewed one is used at once.
	CertFile, KeyFile string

	// Authorities verify kubelets. Nil trusts whoever answers, as upstream does unless
	// --kubelet-certificate-authority is given.
	Authorities *x509.CertPool

	// Addresses are the kinds of a node's addresses in order of preference; nil is
	// [DefaultAddresses].
	Addresses []corev1.NodeAddressType
}

// DefaultAddresses prefer what needs no name server.
var DefaultAddresses = []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP, corev1.NodeHostName, corev1.NodeInternalDNS, corev1.NodeExternalDNS}

const defaultKubeletPort = 10250

// NewKubelets makes the transports. Nothing is read or dialed yet.
func NewKubelets(c KubeletConfig) *Kubelets {
	if c.Addresses == nil {
		c.Addresses = DefaultAddresses
	}
	client := func(verify bool) *tls.Config {
		conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Authorities, InsecureSkipVerify: !verify}
		if c.CertFile != "" {
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
				return &pair, err
			}
		}
		return conf
	}
	return &Kubelets{
		addresses: c.Addresses,
		verified:  transport(client(c.Authorities != nil)),
		trusting:  transport(client(false)),
		proxy:     transport(&tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true}), // pods and others have certificates of their own
	}
}

// transport speaks HTTP/1.1 only: in HTTP/2 a connection can't be taken over.
func transport(c *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: c, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
	}
}

// A kubelet is where one listens.
type kubelet struct{ host, port string }

// of finds the kubelet of a node in what the node says of itself.
func (k *Kubelets) of(ctx context.Context, server resource.Server, name string) (kubelet, error) {
	obj, err := server.Get(ctx, nodes, "", name)
	if err != nil {
		return kubelet{}, err
	}
	node := obj.(*corev1.Node)
	host, err := preferred(k.addresses, node.Status.Addresses)
	if err != nil {
		return kubelet{}, err
	}
	port := int(node.Status.DaemonEndpoints.KubeletEndpoint.Port)
	if port == 0 {
		port = defaultKubeletPort
	}
	return kubelet{host, strconv.Itoa(port)}, nil
}

func preferred(kinds []corev1.NodeAddressType, addresses []corev1.NodeAddress) (string, error) {
	for _, kind := range kinds {
		for _, a := range addresses {
			if a.Type == kind {
				return a.Address, nil
			}
		}
	}
	return "", fmt.Errorf("no preferred addresses found; known addresses: %v", addresses)
}

// url is a place at the kubelet. The elements of the path are names, and so need no escape.
func (k kubelet) url(query url.Values, path string) *url.URL {
	return &url.URL{Scheme: "https", Host: net.JoinHostPort(k.host, k.port), Path: path, RawQuery: query.Encode()}
}
