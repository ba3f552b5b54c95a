package process

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// CPUTime is how much processor time a process has had so far, its system calls included.
// It comes in steps of 10 ms, and on Linux only.
func CPUTime(pid int) (time.Duration, error) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("could not find process %d: %w", pid, err)
	}
	stat, err := proc.Stat()
	if err != nil {
		return 0, fmt.Errorf("could not read the processor time of process %d: %w", pid, err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), nil
}
