// Package manifests checks what deploy/kubernetes and docs/kubernetes.md tell
// people to apply. It is a module of its own, so that the types of Kubernetes
// are no dependency of brood.
package manifests
