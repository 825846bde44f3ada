package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// How long the certificates of a test cluster are valid: longer than any test, shorter than a leak hurts.
const validity = 48 * time.Hour

// authority is the one certificate authority of a cluster.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// identity is a certificate to be issued: who it names, and the names it serves, if it serves.
type identity struct {
	file, user, group string
	serves            []string
}

// pki writes DIR/pki, and a kubeconfig for every client that does not belong to a node.
// The API server's address is the second argument.
func pki(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: hollow-node pki DIR https://HOST:PORT")
	}
	dir, server := args[0], args[1]
	if err := os.MkdirAll(filepath.Join(dir, "pki"), 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(filepath.Join(dir, "pki"))
	if err != nil {
		return err
	}
	serviceAccounts, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(ca.dir, "sa.key"), serviceAccounts); err != nil {
		return err
	}
	for _, each := range []identity{
		{file: "apiserver", user: "kube-apiserver", serves: []string{"127.0.0.1", "localhost", "10.96.0.1",
			"kubernetes.default.svc"}},
		{file: "apiserver-kubelet", user: "kube-apiserver-kubelet", group: "system:masters"},
	} {
		if err := ca.issue(each); err != nil {
			return err
		}
	}
	for name, each := range map[string]identity{
		"admin.kubeconfig":     {file: "admin", user: "admin", group: "system:masters"},
		"manager.kubeconfig":   {file: "manager", user: "system:kube-controller-manager"},
		"scheduler.kubeconfig": {file: "scheduler", user: "system:kube-scheduler"},
	} {
		if err := ca.issue(each); err != nil {
			return err
		}
		if err := ca.kubeconfig(filepath.Join(dir, name), server, each.file); err != nil {
			return err
		}
	}
	return nil
}

func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert, err := certutil.NewSelfSignedCACert(certutil.Config{CommonName: "hollow-cluster"}, key)
	if err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(dir, "ca.key"), key); err != nil {
		return nil, err
	}
	pem, err := certutil.EncodeCertificates(cert)
	if err != nil {
		return nil, err
	}
	return &authority{dir, cert, key}, certutil.WriteCert(filepath.Join(dir, "ca.crt"), pem)
}

func loadAuthority(dir string) (*authority, error) {
	certs, err := certutil.CertsFromFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	key, err := keyutil.PrivateKeyFromFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the authority's key cannot sign")
	}
	return &authority{dir, certs[0], signer}, nil
}

// issue writes FILE.crt and FILE.key.
func (ca *authority) issue(who identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: who.user},
		NotBefore:    ca.cert.NotBefore,
		NotAfter:     time.Now().Add(validity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if who.group != "" {
		template.Subject.Organization = []string{who.group}
	}
	if len(who.serves) > 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, name := range who.serves {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	pem, err := certutil.EncodeCertificates(cert)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(ca.dir, who.file+".key"), key); err != nil {
		return err
	}
	return certutil.WriteCert(filepath.Join(ca.dir, who.file+".crt"), pem)
}

// kubeconfig writes a kubeconfig that holds everything, so that it may be copied anywhere.
func (ca *authority) kubeconfig(path, server, file string) error {
	read := func(name string) []byte {
		bytes, err := os.ReadFile(filepath.Join(ca.dir, name))
		if err != nil {
			panic(err)
		}
		return bytes
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["hollow"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: read("ca.crt")}
	config.AuthInfos[file] = &clientcmdapi.AuthInfo{
		ClientCertificateData: read(file + ".crt"), ClientKeyData: read(file + ".key"),
	}
	config.Contexts["hollow"] = &clientcmdapi.Context{Cluster: "hollow", AuthInfo: file}
	config.CurrentContext = "hollow"
	return clientcmd.WriteToFile(*config, path)
}

func writeKey(path string, key crypto.Signer) error {
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return keyutil.WriteKey(path, pem)
}
