package process

import "syscall"

// ChildAttributes make a child die with this process, however that ends, and
// keep the Ctrl-C of a terminal from it, so that Stop can end all in order.
func ChildAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
