// Package cmd holds the sources of the programs that run inside a test
// cluster. They are compiled when a cluster is started, wherever that happens,
// and use nothing but the standard library, so that they need no module.
package cmd

import _ "embed"

// Sources are the main.go files by the name of the program.
var Sources = map[string]string{
	"nsinit":  nsinit,
	"pause":   pause,
	"toolbox": toolbox,
}

var (
	//go:embed nsinit/main.go
	nsinit string
	//go:embed pause/main.go
	pause string
	//go:embed toolbox/main.go
	toolbox string
)
