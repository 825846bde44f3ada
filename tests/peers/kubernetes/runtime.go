package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	apitest "k8s.io/cri-api/pkg/apis/testing"
	fakeremote "k8s.io/cri-client/pkg/fake"
)

const (
	// How often a call that is held up looks whether it still has to wait.
	heldUpEvery = 50 * time.Millisecond
	// The size of every image, in bytes; a kubelet starts nothing from an image without one.
	imageSize = 64 << 20
	// What a container that a reboot ended has as its exit code, as with containerd.
	rebootExitCode = 255
	// The exit code of what could not be started, as with containerd.
	cannotStartExitCode = 128
	// The exit code of what is killed.
	killedExitCode = 137
)

// runtime keeps books about pods and containers. It outlives the kubelet, as a real one does.
type runtime struct {
	*fakeremote.RemoteRuntime
	node *hollowNode

	mu      sync.Mutex
	configs map[string]*cri.CreateContainerRequest
	// The containers that are processes, while they run.
	processes map[string]*running
	// Ends when the machine goes down, and with it everything that runs.
	power context.Context
	off   context.CancelFunc
}

func newRuntime(node *hollowNode) *runtime {
	r := &runtime{
		RemoteRuntime: fakeremote.NewFakeRemoteRuntime(),
		node:          node,
		configs:       map[string]*cri.CreateContainerRequest{},
		processes:     map[string]*running{},
	}
	r.RuntimeService.FakeStatus = &cri.RuntimeStatus{Conditions: []*cri.RuntimeCondition{
		{Type: cri.RuntimeReady, Status: true}, {Type: cri.NetworkReady, Status: true},
	}}
	r.ImageService.SetFakeImageSize(imageSize)
	r.power, r.off = context.WithCancel(context.Background())
	return r
}

func (r *runtime) serve(listener net.Listener) error {
	server := grpc.NewServer(grpc.UnaryInterceptor(r.intercept))
	cri.RegisterRuntimeServiceServer(server, r)
	cri.RegisterImageServiceServer(server, r)
	return server.Serve(listener)
}

// intercept makes a call as slow and as wrong as the control file asks for.
func (r *runtime) intercept(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	names, begun := []string{path.Base(info.FullMethod)}, time.Now()
	if list, is := request.(*cri.ListPodSandboxRequest); is && list.Filter == nil {
		names = append(names, "Relist")
	}
	for {
		asked, err := readControl(r.node.path("control"))
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		left := asked.delay(names) - time.Since(begun)
		if left <= 0 {
			if text := asked.failure(names); text != "" {
				return nil, status.Error(codes.Unavailable, text)
			}
			return handler(ctx, request)
		}
		select {
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		case <-time.After(min(left, heldUpEvery)):
		}
	}
}

func (r *runtime) RunPodSandbox(
	ctx context.Context, request *cri.RunPodSandboxRequest,
) (*cri.RunPodSandboxResponse, error) {
	answer, err := r.RemoteRuntime.RunPodSandbox(ctx, request)
	if err == nil {
		meta := request.Config.Metadata
		r.RuntimeService.Lock()
		defer r.RuntimeService.Unlock()
		r.RuntimeService.Sandboxes[answer.PodSandboxId].Network = &cri.PodSandboxNetworkStatus{
			Ip: podIP(meta.Namespace, meta.Name),
		}
	}
	return answer, err
}

func (r *runtime) StopPodSandbox(
	ctx context.Context, request *cri.StopPodSandboxRequest,
) (*cri.StopPodSandboxResponse, error) {
	for _, id := range r.containersOf(request.PodSandboxId) {
		r.stop(id, 0, killedExitCode)
	}
	return r.RemoteRuntime.StopPodSandbox(ctx, request)
}

// RemovePodSandbox really removes it: the fake that is extended here only stops it.
func (r *runtime) RemovePodSandbox(
	ctx context.Context, request *cri.RemovePodSandboxRequest,
) (*cri.RemovePodSandboxResponse, error) {
	err := r.RuntimeService.RemovePodSandbox(ctx, request.PodSandboxId)
	return &cri.RemovePodSandboxResponse{}, err
}

func (r *runtime) CreateContainer(
	ctx context.Context, request *cri.CreateContainerRequest,
) (*cri.CreateContainerResponse, error) {
	answer, err := r.RemoteRuntime.CreateContainer(ctx, request)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.configs[answer.ContainerId] = request
		r.RuntimeService.Lock()
		defer r.RuntimeService.Unlock()
		r.RuntimeService.Containers[answer.ContainerId].LogPath = filepath.Join(
			request.SandboxConfig.LogDirectory, request.Config.LogPath)
	}
	return answer, err
}

func (r *runtime) StopContainer(
	_ context.Context, request *cri.StopContainerRequest,
) (*cri.StopContainerResponse, error) {
	r.stop(request.ContainerId, time.Duration(request.Timeout)*time.Second, 0)
	return &cri.StopContainerResponse{}, nil
}

// stop ends a container: a process by its grace, whose own exit code counts; any other at once.
func (r *runtime) stop(id string, grace time.Duration, code int32) {
	r.mu.Lock()
	process := r.processes[id]
	r.mu.Unlock()
	if process != nil {
		process.stop(grace)
		return
	}
	r.endAll(func(c *apitest.FakeContainer) bool { return c.Id == id }, code)
}

func (r *runtime) containersOf(sandbox string) []string {
	r.RuntimeService.Lock()
	defer r.RuntimeService.Unlock()
	var found []string
	for id, container := range r.RuntimeService.Containers {
		if container.SandboxID == sandbox {
			found = append(found, id)
		}
	}
	return found
}

func (r *runtime) RemoveContainer(
	ctx context.Context, request *cri.RemoveContainerRequest,
) (*cri.RemoveContainerResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.configs, request.ContainerId)
	return r.RemoteRuntime.RemoveContainer(ctx, request)
}

// StartContainer starts what a container of this kind does: most just run, some end.
func (r *runtime) StartContainer(
	ctx context.Context, request *cri.StartContainerRequest,
) (*cri.StartContainerResponse, error) {
	r.mu.Lock()
	config := r.configs[request.ContainerId]
	power := r.power
	r.mu.Unlock()
	if config == nil {
		return nil, status.Errorf(codes.NotFound, "container %q", request.ContainerId)
	}
	if config.SandboxConfig.Annotations[runAnnotation] != "" {
		return r.startProcess(ctx, config, request)
	}
	work, err := r.workOf(ctx, config)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	answer, err := r.RemoteRuntime.StartContainer(ctx, request)
	if err == nil && work.ends {
		go r.perform(power, request.ContainerId, work)
	}
	return answer, err
}

func (r *runtime) startProcess(
	ctx context.Context, config *cri.CreateContainerRequest, request *cri.StartContainerRequest,
) (*cri.StartContainerResponse, error) {
	id := request.ContainerId
	r.mu.Lock()
	defer r.mu.Unlock()
	answer, err := r.RemoteRuntime.StartContainer(ctx, request)
	if err != nil {
		return nil, err
	}
	process, err := r.node.run(config, func(code int32) {
		r.endAll(func(c *apitest.FakeContainer) bool { return c.Id == id }, code)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.processes, id)
	})
	if err != nil {
		r.endAll(func(c *apitest.FakeContainer) bool { return c.Id == id }, cannotStartExitCode)
		return nil, status.Error(codes.Unknown, err.Error())
	}
	r.processes[id] = process
	return answer, nil
}

// work is what a container does, as its pod says.
type work struct {
	ends       bool
	privileged bool
	settings   map[string]string
}

// workOf asks the API server, as the runtime is not told: init containers end, and so do the
// containers of pods that are not restarted for ever, those of Jobs among them.
func (r *runtime) workOf(ctx context.Context, config *cri.CreateContainerRequest) (work, error) {
	meta := config.SandboxConfig.Metadata
	pod, err := r.node.client.CoreV1().Pods(meta.Namespace).Get(ctx, meta.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return work{}, nil // a static pod, before its mirror
	}
	if err != nil {
		return work{}, fmt.Errorf("pod %s/%s: %w", meta.Namespace, meta.Name, err)
	}
	found := work{ends: pod.Spec.RestartPolicy != v1.RestartPolicyAlways, settings: settings(config.Config)}
	containers := pod.Spec.Containers
	for _, each := range pod.Spec.InitContainers {
		containers = append(containers, each)
		if each.Name == config.Config.Metadata.Name {
			found.ends = each.RestartPolicy == nil
		}
	}
	for _, each := range containers {
		if each.Name == config.Config.Metadata.Name && each.SecurityContext != nil {
			found.privileged = each.SecurityContext.Privileged != nil && *each.SecurityContext.Privileged
		}
	}
	return found, nil
}

// settings are the environment of a container and every KEY=VALUE among its arguments.
func settings(config *cri.ContainerConfig) map[string]string {
	found := map[string]string{}
	for _, each := range config.Envs {
		found[each.Key] = each.Value
	}
	for _, argument := range append(config.Command, config.Args...) {
		if key, value, is := strings.Cut(argument, "="); is {
			found[key] = value
		}
	}
	return found
}

// perform is the life of a container that ends. With VERSION or OS_IMAGE among its settings it
// changes the node first, for which it must be privileged; EXIT is the code it ends with.
func (r *runtime) perform(power context.Context, id string, work work) {
	asked, err := readControl(r.node.path("control"))
	if err != nil {
		r.node.log("container %s: %v", id, err)
		return
	}
	select {
	case <-power.Done():
		return
	case <-time.After(asked.run):
	}
	var code int32
	if _, err := fmt.Sscan(work.settings["EXIT"], &code); work.settings["EXIT"] != "" && err != nil {
		code = 2
	}
	wanted := change{
		version: work.settings["VERSION"], osImage: work.settings["OS_IMAGE"],
		reboot: work.settings["REBOOT"] != "false",
	}
	if code == 0 && (wanted.version != "" || wanted.osImage != "") {
		if !work.privileged {
			r.node.log("container %s: only a privileged container changes the node", id)
			code = 1
		} else {
			done := make(chan struct{})
			wanted.done = done
			r.node.changes <- wanted
			select {
			case <-power.Done(): // it rebooted, which has ended this container
				return
			case <-done:
			}
		}
	}
	r.endAll(func(c *apitest.FakeContainer) bool { return c.Id == id }, code)
}

// endAll ends the running containers that are chosen.
func (r *runtime) endAll(chosen func(*apitest.FakeContainer) bool, code int32) {
	r.RuntimeService.Lock()
	defer r.RuntimeService.Unlock()
	for _, container := range r.RuntimeService.Containers {
		if chosen(container) && container.State == cri.ContainerState_CONTAINER_RUNNING {
			container.State = cri.ContainerState_CONTAINER_EXITED
			container.FinishedAt = time.Now().UnixNano()
			container.ExitCode = code
			container.Reason = "Error"
			if code == 0 {
				container.Reason = "Completed"
			}
		}
	}
}

// powerOff ends everything that runs and leaves the records of it, as a disk would.
func (r *runtime) powerOff() {
	r.mu.Lock()
	r.off()
	r.power, r.off = context.WithCancel(context.Background())
	processes := maps.Clone(r.processes)
	r.mu.Unlock()
	r.endAll(func(*apitest.FakeContainer) bool { return true }, rebootExitCode)
	for _, process := range processes {
		process.kill()
	}
	r.RuntimeService.Lock()
	defer r.RuntimeService.Unlock()
	for _, sandbox := range r.RuntimeService.Sandboxes {
		sandbox.State = cri.PodSandboxState_SANDBOX_NOTREADY
	}
	r.RuntimeService.Called = nil
}

// ExecSync ends with 1 in pods that the control file calls unready.
func (r *runtime) ExecSync(_ context.Context, request *cri.ExecSyncRequest) (*cri.ExecSyncResponse, error) {
	asked, err := readControl(r.node.path("control"))
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	config := r.configs[request.ContainerId]
	if config == nil {
		return nil, status.Errorf(codes.NotFound, "container %q", request.ContainerId)
	}
	if asked.unready[config.SandboxConfig.Metadata.Name] {
		return &cri.ExecSyncResponse{ExitCode: 1, Stderr: []byte("unready by the control file")}, nil
	}
	return &cri.ExecSyncResponse{}, nil
}

// PullImage has every image but those of registries below .invalid (RFC 2606).
func (r *runtime) PullImage(ctx context.Context, request *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	registry, _, _ := strings.Cut(request.Image.Image, "/")
	host, _, _ := strings.Cut(registry, ":")
	if strings.HasSuffix(host, ".invalid") {
		return nil, status.Errorf(codes.NotFound, "failed to resolve reference %q: no such host", request.Image.Image)
	}
	return r.RemoteRuntime.PullImage(ctx, request)
}
