// Package krm has the plugin called as a function by kustomize and by kpt.
package krm
