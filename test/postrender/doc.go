// Package postrender tests the kubectl plugin as a post-renderer of the real Helm 3 and
// Helm 4. It needs no cluster.
package postrender
