package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	"go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientset "k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	fakecloud "k8s.io/cloud-provider/fake"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // as the kubelet has
	_ "k8s.io/component-base/metrics/prometheus/version"    // kubernetes_build_info
	remote "k8s.io/cri-client/pkg"
	"k8s.io/klog/v2"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubemark"
)

// kubeletOptions is what a node tells the kubelet it starts; the version comes by the environment.
type kubeletOptions struct {
	name, dir, pki, kubeconfig, socket string
	bootID, osImage, kernel, labels    string
	port                               int
}

func (o *kubeletOptions) flags() *flag.FlagSet {
	set := flag.NewFlagSet("kubelet", flag.ExitOnError)
	set.StringVar(&o.name, "name", "", "name of the node")
	set.StringVar(&o.dir, "dir", "", "the node's folder")
	set.StringVar(&o.pki, "pki", "", "folder with ca.crt and the node's certificates")
	set.StringVar(&o.kubeconfig, "kubeconfig", "", "the node's kubeconfig")
	set.StringVar(&o.socket, "runtime", "", "socket of the runtime")
	set.StringVar(&o.bootID, "boot-id", "", "the boot ID to report")
	set.StringVar(&o.osImage, "os-image", "", "the operating system to report")
	set.StringVar(&o.kernel, "kernel", "", "the kernel version to report")
	set.StringVar(&o.labels, "labels", "", "labels of the node: key=value, separated by commas")
	set.IntVar(&o.port, "port", 0, "port of the kubelet's server, on 127.0.0.1")
	return set
}

// machine is what cAdvisor would find out about the computer.
type machine struct {
	cadvisortest.Fake
	options *kubeletOptions
}

func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{
		NumCores:       4,
		MemoryCapacity: 16 << 30,
		MachineID:      "machine-of-" + m.options.name,
		SystemUUID:     "system-of-" + m.options.name,
		BootID:         m.options.bootID,
	}, nil
}

func (m *machine) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	return &cadvisorapi.VersionInfo{
		KernelVersion: m.options.kernel, ContainerOsVersion: m.options.osImage,
	}, nil
}

func kubelet(args []string) error {
	var options kubeletOptions
	klog.InitFlags(nil)
	if err := options.flags().Parse(args); err != nil {
		return err
	}
	if options.name == "" || options.socket == "" {
		return errors.New("a kubelet is started by a node")
	}
	labels, err := parseLabels(options.labels)
	if err != nil {
		return err
	}
	flags, config := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName: options.name, KubeletPort: options.port, MaxPods: 110, NodeLabels: labels,
	})
	// It has made folders below /tmp; a node has its own.
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return err
	}
	flags.RootDirectory = filepath.Join(options.dir, "kubelet")
	config.PodLogsDir = filepath.Join(options.dir, "pod-logs")
	config.Address = "127.0.0.1"
	config.StaticPodPath = filepath.Join(options.dir, "manifests")
	config.FileCheckFrequency.Duration = 2 * time.Second
	config.NodeStatusUpdateFrequency.Duration = statusEvery
	config.NodeLeaseDurationSeconds = leaseSeconds
	config.SyncFrequency.Duration = 5 * time.Second
	// As kubeadm sets them: what kubemark starts from lets everybody in.
	config.Authentication.Anonymous.Enabled = false
	config.Authentication.Webhook.Enabled = true
	config.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	config.Authentication.X509.ClientCAFile = filepath.Join(options.pki, "ca.crt")
	config.TLSCertFile = filepath.Join(options.pki, options.name+"-server.crt")
	config.TLSPrivateKeyFile = filepath.Join(options.pki, options.name+"-server.key")

	client, heartbeat, err := clients(options.kubeconfig)
	if err != nil {
		return err
	}
	logger := klog.Background()
	runtime, err := remote.NewRemoteRuntimeService(options.socket, config.RuntimeRequestTimeout.Duration,
		noop.NewTracerProvider(), &logger)
	if err != nil {
		return fmt.Errorf("the runtime at %s: %w", options.socket, err)
	}
	images, err := remote.NewRemoteImageService(options.socket, config.RuntimeRequestTimeout.Duration,
		noop.NewTracerProvider(), &logger)
	if err != nil {
		return fmt.Errorf("the images at %s: %w", options.socket, err)
	}
	hollow := kubemark.NewHollowKubelet(flags, config, client, heartbeat, &machine{options: &options},
		images, runtime, cm.NewStubContainerManager())
	// A kubelet refuses a loopback address of its own choice; one that a cloud names it accepts.
	hollow.KubeletDeps.Cloud = &fakecloud.Cloud{
		DisableZones: true,
		ExtID:        map[types.NodeName]string{types.NodeName(options.name): options.name},
		Addresses: []v1.NodeAddress{
			{Type: v1.NodeInternalIP, Address: "127.0.0.1"}, {Type: v1.NodeHostName, Address: options.name},
		},
	}
	hollow.KubeletDeps.OSInterface = kubecontainer.RealOS{}
	// Probes are real: the kubelet makes its own prober when it is given none.
	hollow.KubeletDeps.ProbeManager = nil
	if hollow.KubeletDeps.TLSOptions, err = kubeletapp.InitializeTLS(flags, config); err != nil {
		return fmt.Errorf("serving certificate: %w", err)
	}
	auth, run, err := kubeletapp.BuildAuth(types.NodeName(options.name), client, *config)
	if err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	run(nil)
	hollow.KubeletDeps.Auth = auth
	hollow.Run(context.Background())
	return nil
}

// clients: one for the kubelet's work and one for its heartbeats, which no queue may hold up.
func clients(kubeconfig string) (*clientset.Clientset, *clientset.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.UserAgent = "hollow-kubelet"
	config.QPS, config.Burst = 50, 100
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return nil, nil, err
	}
	beats := restclient.CopyConfig(config)
	beats.QPS = -1
	beats.Timeout = statusEvery
	heartbeat, err := clientset.NewForConfig(beats)
	return client, heartbeat, err
}

func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		if pair == "" {
			continue
		}
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return nil, fmt.Errorf("label %q is not key=value", pair)
		}
		labels[key] = value
	}
	return labels, nil
}
