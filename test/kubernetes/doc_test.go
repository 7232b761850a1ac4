// Package kubernetes_test runs brood in the pods of a real cluster, which
// scripts/kubernetes.sh builds and starts. That takes long, so the tests are
// skipped unless BROOD_TEST_KUBERNETES names the directory where a built cluster
// is, or is to be:
//
//	make e2e-k8s
//
// All pods are of one image, made of the programs that they need, and loaded
// into the node: nothing is pulled, and nothing leaves the cluster's network
// namespace. A guard process ends the cluster when the tests have ended, in
// whatever way they did. What was seen can be written into the docs: see record.
package kubernetes_test
