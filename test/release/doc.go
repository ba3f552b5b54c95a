// Package release tries what a release has for package managers, with the real ones where
// they can run without the network.
package release
