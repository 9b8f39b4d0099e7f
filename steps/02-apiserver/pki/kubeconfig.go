package pki

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfigs are the files beside the directory pki by which the members of a
// control plane and its administrator are known, as kubeadm names them.
func Kubeconfigs(node string) map[string]Leaf {
	return map[string]Leaf{
		"admin.conf":              {User: "kubernetes-admin", Groups: []string{"system:masters"}},
		"controller-manager.conf": {User: "system:kube-controller-manager"},
		"scheduler.conf":          {User: "system:kube-scheduler"},
		"kubelet.conf":            {User: "system:node:" + node, Groups: []string{"system:nodes"}},
	}
}

// EnsureKubeconfig writes a file by which a client reaches the server, at its
// URL, as the leaf: with the authority's certificate, the client's, and its key
// inside. A file that is there and good is kept, and what is not ours in it is not looked at.
func (a *Authority) EnsureKubeconfig(path, server string, l Leaf) error {
	old, err := readKubeconfig(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && old.cluster.Server == server && old.trusts(a) && a.suits(old.cert, l) {
		return nil
	}
	return a.writeKubeconfig(path, server, l.template())
}

func (a *Authority) writeKubeconfig(path, server string, template *x509.Certificate) error {
	p, err := a.issue(template)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	cert, key, err := p.pem()
	if err != nil {
		return err
	}
	const name = "kubernetes"
	user := template.Subject.CommonName
	context := user + "@" + name
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: server, CertificateAuthorityData: encode(certificateBlock, a.cert.Raw)}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {ClientCertificateData: cert, ClientKeyData: key}},
		Contexts:       map[string]*clientcmdapi.Context{context: {Cluster: name, AuthInfo: user}},
		CurrentContext: context,
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return WriteFile(path, content, 0o600)
}

// A kubeconfig is the part of such a file that its current context names.
type kubeconfig struct {
	cluster *clientcmdapi.Cluster
	cert    *x509.Certificate
}

func (k kubeconfig) trusts(a *Authority) bool {
	block, _ := pem.Decode(k.cluster.CertificateAuthorityData)
	return block != nil && string(block.Bytes) == string(a.cert.Raw)
}

func readKubeconfig(path string) (kubeconfig, error) {
	config, err := clientcmd.LoadFromFile(path)
	if err != nil {
		return kubeconfig{}, err
	}
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.Clusters[context.Cluster] == nil || config.AuthInfos[context.AuthInfo] == nil {
		return kubeconfig{}, fmt.Errorf("%s: the current context %q names no cluster and user; remove the file to have a new one made", path, config.CurrentContext)
	}
	k := kubeconfig{cluster: config.Clusters[context.Cluster]}
	block, _ := pem.Decode(config.AuthInfos[context.AuthInfo].ClientCertificateData)
	if block == nil {
		return kubeconfig{}, fmt.Errorf("%s: no client certificate inside; remove the file to have a new one made", path)
	}
	if k.cert, err = x509.ParseCertificate(block.Bytes); err != nil {
		return kubeconfig{}, fmt.Errorf("%s: client certificate: %w", path, err)
	}
	return k, nil
}
