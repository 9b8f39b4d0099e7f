package apiserver

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/k8s-groundup/groundup/steps/02-apiserver/authn"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/authz"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/bootstrap"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/connect"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/pki"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/resource"
	"github.com/k8s-groundup/groundup/steps/02-apiserver/serviceaccount"
)

// A security is who may come in, and what they may do.
type security struct {
	tls           *tls.Config
	rootCA        string // PEM
	authenticator authn.Authenticator
	authorizer    authz.Union
	nodes         *authz.Graph
	tokens        *serviceaccount.Tokens
	verifier      serviceaccount.Verifier
	objects       *objects
	kubelets      *connect.Kubelets
	audiences     []string
	discovery     map[string]http.Handler
}

// objects are those of the server, which is there only after what asks for them.
type objects struct{ server resource.Server }

func (o *objects) Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error) {
	return o.server.Get(ctx, r, namespace, name)
}

func secure(f *flags) (*security, error) {
	if err := f.ensurePKI(); err != nil {
		return nil, err
	}
	s := &security{nodes: &authz.Graph{}, objects: &objects{}, audiences: f.audiences}
	authorities, err := authn.Authorities(f.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	root, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, err
	}
	s.rootCA = string(root)
	if s.tls, err = serving(f.tlsCert, f.tlsKey, authorities); err != nil {
		return nil, err
	}
	if s.tokens, err = f.tokens(); err != nil {
		return nil, err
	}
	s.verifier = serviceaccount.Verifier{Tokens: s.tokens, Objects: s.objects}
	if s.authorizer, err = f.authorizer(s.nodes); err != nil {
		return nil, err
	}
	s.authenticator = authz.Impersonation{Authorizer: s.authorizer, Known: authn.Union{
		Known:     []authn.Authenticator{remembered{authn.X509{Authorities: authorities}}, authn.Bearer{Verifier: s.verifier}},
		Otherwise: authn.Anonymous{Paths: authn.HealthPaths},
	}}
	if s.kubelets, err = f.kubelets(); err != nil {
		return nil, err
	}
	s.discovery, err = s.tokens.Discovery("", net.JoinHostPort(f.advertise.String(), strconv.Itoa(f.port)))
	return s, err
}

// ensurePKI makes what is not given.
func (f *flags) ensurePKI() error {
	if f.dataDir == "" {
		return nil
	}
	names := []string{bootstrap.ServiceAddress(f.services).String()}
	for _, a := range []netip.Addr{f.bind, f.advertise} {
		if !a.IsUnspecified() && !slices.Contains(names, a.String()) {
			names = append(names, a.String())
		}
	}
	if f.tlsCert != "" && f.clientCA != "" && f.signingKey != "" {
		return nil // another has made all of it
	}
	authority, err := pki.Ensure(f.pkiDir(), names...)
	if err != nil {
		return fmt.Errorf("make the certificates: %w", err)
	}
	files := pki.Files{Dir: f.pkiDir()}
	for flag, made := range map[*string]string{
		&f.tlsCert: files.Serving(), &f.clientCA: files.CA(), &f.kubeletCert: files.KubeletClient(),
		&f.signingKey: pki.Key(files.ServiceAccount()),
	} {
		if *flag == "" {
			*flag = made
		}
	}
	url := "https://" + net.JoinHostPort(f.advertise.String(), strconv.Itoa(f.port))
	admin := pki.Leaf{User: "kubernetes-admin", Groups: []string{user.SystemPrivilegedGroup}}
	return authority.EnsureKubeconfig(filepath.Join(f.dataDir, "admin.kubeconfig"), url, admin)
}

// serving reads the certificate again for every connection, so that a renewed one
// is used at once. Any client certificate passes the handshake: a wrong one is told
// of in HTTP.
func serving(cert, key string, authorities *x509.CertPool) (*tls.Config, error) {
	if key == "" {
		key = pki.Key(cert)
	}
	load := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	if _, err := load(nil); err != nil {
		return nil, fmt.Errorf("--tls-cert-file: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
		ClientAuth: tls.RequestClientCert, ClientCAs: authorities, GetCertificate: load}, nil
}

func (f *flags) tokens() (*serviceaccount.Tokens, error) {
	key, err := pki.ReadKey(f.signingKey)
	if err != nil {
		return nil, fmt.Errorf("--service-account-signing-key-file: %w", err)
	}
	conf := serviceaccount.Config{Issuer: f.issuer, Key: key, Audiences: f.audiences}
	for _, path := range f.trustedKeys {
		var public crypto.PublicKey
		if public, err = pki.ReadPublicKey(path); err != nil {
			return nil, fmt.Errorf("--service-account-key-file: %w", err)
		}
		conf.PublicKeys = append(conf.PublicKeys, public)
	}
	return serviceaccount.New(conf)
}

func (f *flags) authorizer(nodes *authz.Graph) (authz.Union, error) {
	union := authz.Union{authz.Everything{Group: user.SystemPrivilegedGroup}}
	for _, mode := range f.modes {
		switch mode {
		case "Node":
			union = append(union, authz.Nodes{Graph: nodes})
		case "ABAC":
			policy, err := authz.ReadPolicy(f.policy)
			if err != nil {
				return nil, fmt.Errorf("--authorization-policy-file: %w", err)
			}
			union = append(union, policy)
		case "AlwaysAllow":
			union = append(union, authz.Everything{Group: user.AllAuthenticated})
		default:
			return nil, fmt.Errorf("--authorization-mode: there is no %q here", mode)
		}
	}
	if f.policy != "" && !slices.Contains(f.modes, "ABAC") {
		return nil, errors.New("--authorization-policy-file needs --authorization-mode with ABAC in it")
	}
	return append(union, authz.Bootstrap()), nil
}

func (f *flags) kubelets() (*connect.Kubelets, error) {
	conf := connect.KubeletConfig{CertFile: f.kubeletCert, KeyFile: f.kubeletKey, Addresses: f.addressTypes()}
	if conf.CertFile != "" && conf.KeyFile == "" {
		conf.KeyFile = pki.Key(conf.CertFile)
	}
	if f.kubeletCA != "" {
		authorities, err := authn.Authorities(f.kubeletCA)
		if err != nil {
			return nil, fmt.Errorf("--kubelet-certificate-authority: %w", err)
		}
		conf.Authorities = authorities
	}
	return connect.NewKubelets(conf), nil
}

// complete adds to the table what needs to know about users and nodes.
func (s *security) complete(table []resource.Resource) []resource.Resource {
	conf := connect.Config{Kubelets: s.kubelets, Authorizer: s.authorizer}
	for i := range table {
		switch row := &table[i]; row.GroupResource() {
		case schema.GroupResource{Resource: "pods"}:
			row.Subresources = append(row.Subresources, connect.Subresources(conf)...)
		case schema.GroupResource{Resource: "nodes"}:
			row.Subresources = append(row.Subresources, connect.NodeSubresources(conf)...)
		case schema.GroupResource{Resource: "services"}:
			row.Subresources = append(row.Subresources, connect.ServiceSubresources(conf)...)
		case schema.GroupResource{Resource: "serviceaccounts"}:
			row.Subresources = append(row.Subresources, s.tokens.Subresource())
		}
	}
	table = append(table, authn.Reviews(s.verifier, s.audiences)...)
	return append(table, authz.Reviews(s.authorizer)...)
}

func (s *security) start(server resource.Server) { s.objects.server = server }

// graph keeps what pods refer to, which is what their nodes may read.
func (s *security) graph(obj resource.Object, gone bool) {
	if gone {
		s.nodes.Delete(obj.GetNamespace(), obj.GetName())
	} else {
		s.nodes.Set(obj.(*corev1.Pod))
	}
}
