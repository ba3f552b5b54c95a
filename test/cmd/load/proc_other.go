//go:build !linux

package main

import (
	"errors"
	"time"
)

func pin(int) error { return errors.ErrUnsupported }

func cpuTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }

func residentMemory(int) (string, error) { return "", errors.ErrUnsupported }
