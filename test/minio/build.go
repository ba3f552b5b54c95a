package minio

import (
	"context"
	"embed"
	"io"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// pinned holds go.mod and go.sum of the module from which MinIO is built.
//
//go:embed modules
var pinned embed.FS

const (
	module  = "github.com/minio/minio"
	version = "v0.0.0-20260212201848-7aac2a2c5b7c"
)

var source = buildcache.Server{
	Name:      "minio",
	Title:     "MinIO",
	Module:    module,
	Version:   version,
	Flags:     append([]string{"-ldflags=-s -w"}, buildcache.Quick...),
	Dependent: "module example.invalid/minio-program\n\ngo 1.25.1\n\nrequire " + module + " " + version + "\n",
	Pinned:    pinned,
}

// Build makes sure that MinIO is in the cache. It takes minutes the first time
// and no time afterwards.
func Build(ctx context.Context, progress io.Writer) error {
	_, err := source.Build(ctx, progress)
	return err
}

// PinModule resolves the module of the release into files of a folder, which is
// to be test/minio/modules.
func PinModule(ctx context.Context, dir string) error { return source.Pin(ctx, dir) }
