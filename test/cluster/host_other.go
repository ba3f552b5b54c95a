//go:build !linux

package cluster

import "syscall"

// childAttributes keep the Ctrl-C of a terminal from a child, so that Stop can
// end all in order. Only Linux can tie the life of a child to its parent's.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}
