package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc, the same on every Linux (USER_HZ).
const tick = 10 * time.Millisecond

// pin moves this process, and what it starts from now on, to the core with an
// index among those that it may use at first; -1 is the last of them.
func pin(index int) error {
	cores := allowed
	if len(cores) < 2 {
		return errors.New("there is only one core")
	}
	var set unix.CPUSet
	set.Set(cores[(index+len(cores))%len(cores)])
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return err
		}
	}
	runtime.GOMAXPROCS(1)
	return nil
}

// allowed are the cores that this process could use when it started.
var allowed = func() (cores []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for core := range 8 * len(set) * 8 {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores
}()

// cpuTime is how much processor time a process has had, its system calls
// included (proc(5), utime and stime).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	var sum time.Duration
	for _, i := range []int{14, 15} {
		ticks, err := strconv.ParseInt(fields[i-3], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// residentMemory says how much of a process is in memory, and how much of that
// are pages of files.
func residentMemory(pid int) (string, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "", err
	}
	var said []string
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "VmHWM", "VmRSS", "RssAnon", "RssFile":
			said = append(said, name+" "+strings.TrimSpace(value))
		}
	}
	return strings.Join(said, ", "), nil
}
