package cluster

import "syscall"

// childAttributes make a child die with this process, however that ends, and
// keep the Ctrl-C of a terminal from it, so that Stop can end all in order.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}
