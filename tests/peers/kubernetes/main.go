// Command hollow-node is a Kubernetes node without containers: the real kubelet over a runtime that
// only keeps books, so that a test can hang it, break it and upgrade it.
//
//	hollow-node pki DIR                    keys, certificates and kubeconfigs of a cluster
//	hollow-node node --cluster DIR …       a node: its runtime, and a kubelet that it restarts
//	hollow-node kubelet|container …        what a node starts; not for people
package main

import (
	"fmt"
	"os"

	_ "fairway.peers/kubernetes/version"
)

func main() {
	commands := map[string]func([]string) error{"pki": pki, "node": node, "kubelet": kubelet,
		"container": container}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: hollow-node pki|node|kubelet …")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "hollow-node:", err)
		os.Exit(1)
	}
}
