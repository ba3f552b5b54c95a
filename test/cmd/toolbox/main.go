//go:build unix

// Toolbox looks around inside a pod. Its image has nothing else in it, not even
// a shell, like that of many applications. Under the name of one of its
// commands, such as /bin/cat, it is that command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `usage:
  toolbox sleep [DURATION]   such as 90s or 90 (seconds); without one, until terminated
  toolbox cat FILE...        the content of files
  toolbox stat FILE...       for each file its mode in octal, user id, group id and path;
                             symbolic links are followed
  toolbox touch FILE...      creates files that are not there
  toolbox id                 user id, group id, and supplementary groups
  toolbox env                the environment, sorted
  toolbox false              fails`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	args := os.Args[1:]
	if name := filepath.Base(os.Args[0]); name != "toolbox" {
		args = append([]string{name}, args...)
	}
	err := run(ctx, args, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "toolbox:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch name, rest := args[0], args[1:]; name {
	case "sleep":
		return sleep(ctx, rest)
	case "cat":
		return forEach(rest, out, cat)
	case "stat":
		return forEach(rest, out, stat)
	case "touch":
		return forEach(rest, out, touch)
	case "id":
		return id(out)
	case "env":
		_, err := fmt.Fprintln(out, strings.Join(slices.Sorted(slices.Values(os.Environ())), "\n"))
		return err
	case "false":
		return errors.New("asked to fail")
	default:
		return fmt.Errorf("unknown command %q\n%s", name, usage)
	}
}

// sleep ends without an error when terminated: that is its graceful shutdown.
func sleep(ctx context.Context, args []string) error {
	if len(args) == 0 {
		<-ctx.Done()
		return nil
	}
	duration, err := time.ParseDuration(args[0])
	if err != nil {
		duration, err = time.ParseDuration(args[0] + "s")
	}
	if err != nil {
		return fmt.Errorf("could not parse a duration: %w", err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
	return nil
}

// forEach goes on after an error, as the programs of these names do.
func forEach(files []string, out io.Writer, do func(string, io.Writer) error) error {
	var errs []error
	for _, file := range files {
		errs = append(errs, do(file, out))
	}
	return errors.Join(errs...)
}

func cat(path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(out, file)
	return err
}

func stat(path string, out io.Writer) error {
	var info syscall.Stat_t
	if err := syscall.Stat(path, &info); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	_, err := fmt.Fprintf(out, "%04o %d %d %s\n", info.Mode&0o7777, info.Uid, info.Gid, path)
	return err
}

func touch(path string, _ io.Writer) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

func id(out io.Writer) error {
	groups, err := os.Getgroups()
	if err != nil {
		return fmt.Errorf("could not get the groups: %w", err)
	}
	slices.Sort(groups)
	_, err = fmt.Fprintf(out, "uid=%d gid=%d groups=%s\n", os.Getuid(), os.Getgid(), strings.Trim(fmt.Sprint(slices.Compact(groups)), "[]"))
	return err
}
