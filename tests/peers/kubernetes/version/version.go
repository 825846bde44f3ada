// Package version makes the kubelet of this process report the version in HOLLOW_VERSION, so that
// one binary serves every version a test upgrades to.
//
// The name of the module sorts before k8s.io: Go initialises this package as soon as the variable
// exists, and so before the packages that copy it (kubernetes_build_info among them).
package version

import (
	"os"
	"sync/atomic"
	_ "unsafe" // for go:linkname

	_ "k8s.io/component-base/version"
)

// SetDynamicVersion would refuse everything but the patch release that was built.
//
//go:linkname dynamicGitVersion k8s.io/component-base/version.dynamicGitVersion
var dynamicGitVersion atomic.Value

// Variable is the environment variable with the version, such as v1.33.13.
const Variable = "HOLLOW_VERSION"

func init() {
	if wanted := os.Getenv(Variable); wanted != "" {
		dynamicGitVersion.Store(wanted)
	}
}
