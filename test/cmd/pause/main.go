//go:build unix

// Pause holds the namespaces of a pod, and does nothing else.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	// As the first process of its namespaces it ignores what it does not handle.
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
}
