//go:build !linux

package main

import "errors"

func pin(int) error { return errors.ErrUnsupported }

func residentMemory(int) (string, error) { return "", errors.ErrUnsupported }
