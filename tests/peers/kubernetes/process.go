package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	osruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Annotation of a pod whose containers are to be run: as processes of this computer, over its own
// root file system with their mounts in place, in its network. What they write elsewhere is lost.
const runAnnotation = "fairway.test/run"

// process is what a process must know before it can become a container.
type process struct {
	Root    string // an empty folder
	Host    string
	Mounts  []mount
	Dir     string
	Command []string
	Env     []string
}

type mount struct {
	From, To string
	ReadOnly bool
}

// podIP is where the processes of a pod should listen: always the same for the same name, and on the
// loopback interface, which has all of 127.0.0.0/8.
func podIP(namespace, name string) string {
	hash := fnv.New32a()
	_, _ = io.WriteString(hash, namespace+"/"+name)
	sum := hash.Sum32()
	return fmt.Sprintf("127.%d.%d.%d", 64+sum>>24&63, sum>>16&255, 1+sum&0xffff%250)
}

// processOf translates what the kubelet asks for; the API server's address is not a service's here.
func (n *hollowNode) processOf(request *cri.CreateContainerRequest, root string) process {
	config := request.Config
	p := process{
		Root: root, Host: request.SandboxConfig.Hostname, Dir: config.WorkingDir,
		Command: append(append([]string{}, config.Command...), config.Args...),
		Env:     []string{"PATH=" + os.Getenv("PATH"), "HOSTNAME=" + request.SandboxConfig.Hostname},
	}
	for _, each := range config.Envs {
		p.Env = append(p.Env, each.Key+"="+each.Value)
	}
	p.Env = append(p.Env, "KUBERNETES_SERVICE_HOST="+n.apiHost, "KUBERNETES_SERVICE_PORT="+n.apiPort)
	for _, each := range config.Mounts {
		p.Mounts = append(p.Mounts, mount{each.HostPath, each.ContainerPath, each.Readonly})
	}
	return p
}

// running is a process that a container stands for.
type running struct {
	leader *os.Process
	ended  chan struct{}
}

// run starts a container's process; whenEnded gets its exit code.
func (n *hollowNode) run(request *cri.CreateContainerRequest, whenEnded func(int32)) (*running, error) {
	if len(request.Config.Command)+len(request.Config.Args) == 0 {
		return nil, errors.New("there are no images here: a container that is run needs its command")
	}
	root, err := os.MkdirTemp(n.path("roots"), "")
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(n.processOf(request, root))
	if err != nil {
		return nil, err
	}
	path := filepath.Join(request.SandboxConfig.LogDirectory, request.Config.LogPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, "container", string(text))
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS, Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	command.Stdout, command.Stderr = &lines{file: log, stream: "stdout"}, &lines{file: log, stream: "stderr"}
	command.WaitDelay = time.Second // for what a child of it holds open
	started := make(chan error)
	process := &running{ended: make(chan struct{})}
	go func() {
		// A process ends with the thread that started it, so this thread stays until then.
		osruntime.LockOSThread()
		defer close(process.ended)
		defer os.RemoveAll(root)
		defer log.Close()
		err := command.Start()
		process.leader = command.Process
		started <- err
		if err == nil {
			_ = command.Wait()
			whenEnded(exitCode(command.ProcessState))
		}
	}()
	return process, <-started
}

// exitCode is that of a container: of a process that a signal ended, 128 and the signal.
func exitCode(state *os.ProcessState) int32 {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int32(status.Signal())
	}
	return int32(state.ExitCode())
}

// stop asks it to end, and after the grace makes it and its children.
func (p *running) stop(grace time.Duration) {
	_ = p.leader.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
	}
	p.kill()
}

func (p *running) kill() {
	_ = syscall.Kill(-p.leader.Pid, syscall.SIGKILL)
	<-p.ended
}

// container makes this process a container; its mounts and its host name are its own already.
func container(args []string) error {
	var p process
	if len(args) != 1 {
		return errors.New("a container is started by a node")
	}
	if err := json.Unmarshal([]byte(args[0]), &p); err != nil {
		return err
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Sethostname([]byte(p.Host)); err != nil {
		return fmt.Errorf("host name: %w", err)
	}
	root, err := p.root()
	if err != nil {
		return err
	}
	if err := syscall.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if p.Dir == "" {
		p.Dir = "/"
	}
	if err := os.Chdir(p.Dir); err != nil {
		return err
	}
	program, err := exec.LookPath(p.Command[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, p.Command, p.Env)
}

// root lays a throw-away layer over this computer's files, and puts the mounts in.
func (p *process) root() (string, error) {
	if err := syscall.Mount("tmpfs", p.Root, "tmpfs", 0, "mode=755"); err != nil {
		return "", fmt.Errorf("tmpfs: %w", err)
	}
	upper, work, root := filepath.Join(p.Root, "u"), filepath.Join(p.Root, "w"), filepath.Join(p.Root, "r")
	for _, each := range []string{upper, work, root} {
		if err := os.Mkdir(each, 0o755); err != nil {
			return "", err
		}
	}
	options := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)
	if err := syscall.Mount("overlay", root, "overlay", 0, options); err != nil {
		return "", fmt.Errorf("overlay: %w", err)
	}
	for _, each := range []string{"/proc", "/dev", "/sys"} {
		if err := syscall.Mount(each, root+each, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
			return "", fmt.Errorf("mount %s: %w", each, err)
		}
	}
	for _, each := range p.Mounts {
		if err := each.into(root); err != nil {
			return "", fmt.Errorf("mount %s at %s: %w", each.From, each.To, err)
		}
	}
	return root, nil
}

func (m *mount) into(root string) error {
	// /var/run is a link to /run, which would lead out of the new root.
	to := filepath.Join(root, strings.Replace(m.To, "/var/run/", "/run/", 1))
	from, err := os.Stat(m.From)
	if err != nil {
		return err
	}
	if from.IsDir() {
		err = os.MkdirAll(to, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(to), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(to, os.O_CREATE, 0o644); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := syscall.Mount(m.From, to, "", syscall.MS_BIND, ""); err != nil || !m.ReadOnly {
		return err
	}
	return syscall.Mount("", to, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

// lines writes a container's log as the kubelet reads it: time, stream, F, line.
type lines struct {
	mu     sync.Mutex
	file   *os.File
	stream string
	rest   []byte // of a line that has not ended
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, text...)
	for {
		line, rest, ended := bytes.Cut(l.rest, []byte("\n"))
		if !ended {
			return len(text), nil
		}
		l.rest = rest
		now := time.Now().UTC().Format(time.RFC3339Nano)
		if _, err := fmt.Fprintf(l.file, "%s %s F %s\n", now, l.stream, line); err != nil {
			return 0, err
		}
	}
}
