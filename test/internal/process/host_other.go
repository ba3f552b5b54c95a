//go:build !linux

package process

import "syscall"

// ChildAttributes keep the Ctrl-C of a terminal from a child, so that Stop can
// end all in order. Only Linux can tie the life of a child to its parent's.
func ChildAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}
