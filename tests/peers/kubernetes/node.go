package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	osruntime "runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"fairway.peers/kubernetes/version"
)

const (
	// How often a kubelet reports its state; a real one does every 10 s, tests wait for it.
	statusEvery = 2 * time.Second
	// How long a lease is good for (40 in a real cluster); the manager's grace must be no shorter.
	leaseSeconds = 12
	// How often the files of a node are looked at.
	watchEvery = 100 * time.Millisecond
	// A kubelet that ended by itself is started again after this.
	restartAfter = time.Second
	// Longest wait for the node to be Ready at first.
	readyWithin = 2 * time.Minute
)

// change is what a container asks of its node; empty means as it is.
type change struct {
	version, osImage string
	reboot           bool
	done             chan<- struct{}
}

// hollowNode is a machine: its runtime, and the kubelet it starts and restarts.
type hollowNode struct {
	dir     string
	options kubeletOptions
	client  *clientset.Clientset
	runtime *runtime
	changes chan change

	apiHost, apiPort string

	running string // the version of the kubelet that runs
	child   *exec.Cmd
	ended   chan struct{}
	bootAt  time.Time // when a machine that is off, or a kubelet that ended, is there again
}

func (n *hollowNode) path(name string) string { return filepath.Join(n.dir, name) }

func (n *hollowNode) log(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "%s %s: %s\n", time.Now().UTC().Format(time.RFC3339Nano), n.options.name,
		fmt.Sprintf(format, values...))
}

func node(args []string) error {
	// The kubelet ends with the thread that started it, so this thread must stay.
	osruntime.LockOSThread()
	var cluster, first string
	n := &hollowNode{changes: make(chan change)}
	set := flag.NewFlagSet("node", flag.ExitOnError)
	set.StringVar(&cluster, "cluster", "", "folder of the cluster")
	set.StringVar(&n.options.name, "name", "", "name of the node")
	set.StringVar(&n.options.labels, "labels", "", "labels of the node: key=value, separated by commas")
	set.StringVar(&first, "version", "v1.33.13", "version of the kubelet at first")
	if err := set.Parse(args); err != nil {
		return err
	}
	if cluster == "" || n.options.name == "" {
		return errors.New("--cluster and --name are needed")
	}
	socketDir, err := os.MkdirTemp("/tmp", "hollow") // a socket's path must be short
	if err != nil {
		return err
	}
	defer os.RemoveAll(socketDir)
	if err := n.prepare(cluster, socketDir, first); err != nil {
		return err
	}
	listener, err := net.Listen("unix", filepath.Join(socketDir, "cri.sock"))
	if err != nil {
		return err
	}
	go func() { n.log("the runtime has ended: %v", n.runtime.serve(listener)) }()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	go func() { // the caller holds standard input open for as long as it wants the node
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	go n.announce(ctx, stop)
	return n.supervise(ctx)
}

// prepare makes the node's folder, its certificates and its client.
func (n *hollowNode) prepare(cluster, socketDir, first string) error {
	var err error
	if n.dir, err = filepath.Abs(filepath.Join(cluster, "nodes", n.options.name)); err != nil {
		return err
	}
	for _, name := range []string{"manifests", "kubelet", "pod-logs", "roots"} {
		if err := os.MkdirAll(n.path(name), 0o700); err != nil {
			return err
		}
	}
	admin, err := clientcmd.LoadFromFile(filepath.Join(cluster, "admin.kubeconfig"))
	if err != nil {
		return err
	}
	n.options.dir, n.options.pki = n.dir, n.path("pki")
	n.options.kubeconfig, n.options.socket = n.path("kubeconfig"), "unix://"+filepath.Join(socketDir, "cri.sock")
	server := admin.Clusters["hollow"].Server
	if n.apiHost, n.apiPort, err = net.SplitHostPort(strings.TrimPrefix(server, "https://")); err != nil {
		return err
	}
	if err := n.certify(filepath.Join(cluster, "pki"), server); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", n.options.kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	if n.client, err = clientset.NewForConfig(config); err != nil {
		return err
	}
	if n.options.port, err = freePort(); err != nil {
		return err
	}
	n.options.kernel = "6.1.0-hollow"
	n.options.osImage = "Hollow Linux 1"
	n.runtime = newRuntime(n)
	if err := n.write("os_image", n.options.osImage); err != nil {
		return err
	}
	return n.write("version", first)
}

func (n *hollowNode) certify(from, server string) error {
	ca, err := loadAuthority(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.options.pki, 0o700); err != nil {
		return err
	}
	pem, err := os.ReadFile(filepath.Join(from, "ca.crt"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(n.options.pki, "ca.crt"), pem, 0o600); err != nil {
		return err
	}
	ca.dir = n.options.pki
	name := n.options.name
	for _, each := range []identity{
		{file: name, user: "system:node:" + name, group: "system:nodes"},
		{file: name + "-server", user: "system:node:" + name, serves: []string{"127.0.0.1", name}},
	} {
		if err := ca.issue(each); err != nil {
			return err
		}
	}
	return ca.kubeconfig(n.options.kubeconfig, server, name)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// supervise starts the kubelet and restarts it whenever the node is changed, until it is told to end.
func (n *hollowNode) supervise(ctx context.Context) error {
	n.options.bootID = newBootID()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	defer n.runtime.powerOff()
	defer n.kill()
	for {
		asked, err := readControl(n.path("control"))
		if err != nil {
			n.log("%v", err)
			asked = &control{}
		}
		switch {
		case asked.down:
			if n.child != nil {
				n.kill()
				n.powerOff()
			}
		case n.child == nil && time.Now().Before(n.bootAt):
		case n.child == nil:
			if err := n.start(); err != nil {
				return err
			}
		case n.read("version") != n.running || n.read("os_image") != n.options.osImage:
			n.reboot(asked.boot)
		}
		select {
		case <-ctx.Done():
			return nil
		case wanted := <-n.changes:
			if err := n.apply(wanted, asked.boot); err != nil {
				return err
			}
		case <-n.ended:
			n.log("the kubelet has ended by itself")
			n.child, n.ended = nil, nil
			n.bootAt = time.Now().Add(restartAfter)
		case <-tick.C:
		}
	}
}

// apply changes the node as a container asked: nothing, if it is so already.
func (n *hollowNode) apply(wanted change, boot time.Duration) error {
	defer close(wanted.done)
	osImage, version := n.read("os_image"), n.read("version")
	if wanted.osImage != "" {
		osImage = wanted.osImage
	}
	if wanted.version != "" {
		version = wanted.version
	}
	if osImage == n.options.osImage && version == n.running {
		return nil
	}
	if err := errors.Join(n.write("os_image", osImage), n.write("version", version)); err != nil {
		return err
	}
	if wanted.reboot {
		n.reboot(boot)
		return nil
	}
	n.log("the kubelet restarts")
	n.kill()
	n.options.osImage = osImage
	return n.start()
}

func (n *hollowNode) reboot(takes time.Duration) {
	n.log("the machine reboots")
	n.kill()
	n.powerOff()
	n.bootAt = time.Now().Add(takes)
}

// powerOff: what follows is another boot.
func (n *hollowNode) powerOff() {
	n.runtime.powerOff()
	n.options.bootID = newBootID()
}

func (n *hollowNode) start() error {
	log, err := os.OpenFile(n.path("kubelet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.running, n.options.osImage = n.read("version"), n.read("os_image")
	o := n.options
	child := exec.Command(self, "kubelet", "--name", o.name, "--dir", o.dir, "--pki", o.pki,
		"--kubeconfig", o.kubeconfig, "--runtime", o.socket, "--boot-id", o.bootID, "--os-image", o.osImage,
		"--kernel", o.kernel, "--labels", o.labels, "--port", strconv.Itoa(o.port))
	child.Env = append(os.Environ(), version.Variable+"="+n.running)
	child.Stdout, child.Stderr = log, log
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		return err
	}
	n.log("kubelet %s, %s, boot %s, process %d", n.running, o.osImage, o.bootID, child.Process.Pid)
	ended := make(chan struct{})
	go func() {
		_ = child.Wait()
		close(ended)
	}()
	n.child, n.ended = child, ended
	return n.write("kubelet.pid", strconv.Itoa(child.Process.Pid))
}

func (n *hollowNode) kill() {
	if n.child == nil {
		return
	}
	_ = n.child.Process.Kill()
	<-n.ended
	n.child, n.ended = nil, nil
}

// announce prints where the node is, once it is Ready.
func (n *hollowNode) announce(ctx context.Context, stop func()) {
	deadline := time.Now().Add(readyWithin)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		node, err := n.client.CoreV1().Nodes().Get(ctx, n.options.name, metav1.GetOptions{})
		if err == nil && node.Status.NodeInfo.BootID != "" && ready(node) {
			line, _ := json.Marshal(map[string]any{
				"name": n.options.name, "kubelet": fmt.Sprintf("https://127.0.0.1:%d", n.options.port),
				"dir": n.dir, "control": n.path("control"), "version": n.path("version"),
				"os_image": n.path("os_image"), "process": os.Getpid(),
			})
			fmt.Println(string(line))
			return
		}
		time.Sleep(watchEvery)
	}
	if ctx.Err() == nil {
		n.log("the node is not Ready after %s; see %s", readyWithin, n.path("kubelet.log"))
		stop()
	}
}

func ready(node *v1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == v1.NodeReady {
			return condition.Status == v1.ConditionTrue
		}
	}
	return false
}

func newBootID() string {
	bytes := make([]byte, 16)
	_, _ = rand.Read(bytes)
	return fmt.Sprintf("%x-%x-%x-%x-%x", bytes[:4], bytes[4:6], bytes[6:8], bytes[8:10], bytes[10:])
}

func (n *hollowNode) read(name string) string {
	bytes, err := os.ReadFile(n.path(name))
	if err != nil {
		n.log("%v", err)
	}
	return strings.TrimSpace(string(bytes))
}

// write replaces a file at once, so that a reader never sees half of it.
func (n *hollowNode) write(name, text string) error {
	if err := os.WriteFile(n.path(name+".new"), []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(n.path(name+".new"), n.path(name))
}
