package vault

import (
	"context"
	"embed"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// DefaultVersion is the release that is built. Not every one can be built from
// public modules: v1.21.4 does not compile with the vault/sdk that is published.
const DefaultVersion = "v1.21.0"

const (
	module  = "github.com/hashicorp/vault"
	program = "vault"
)

// pinned holds go.mod and go.sum of the module from which Vault is built.
//
//go:embed modules
var pinned embed.FS

var source = buildcache.Server{
	Name:    program,
	Title:   "Vault",
	Module:  module,
	Version: DefaultVersion,
	// They make the program static, so that it needs no C compiler, and small.
	Flags:     append([]string{"-tags=minimal", "-ldflags=-s -w"}, buildcache.Quick...),
	Dependent: dependent,
	Pinned:    pinned,
}

// Build makes sure that Vault is in the cache. It takes minutes the first time
// and no time afterwards.
func Build(ctx context.Context, options Options) error {
	_, err := source.Build(ctx, options.withDefaults().Progress)
	return err
}

// PinModule resolves the module of DefaultVersion into files of a folder, which
// is to be test/vault/modules.
func PinModule(ctx context.Context, dir string) error { return source.Pin(ctx, dir) }

// Vault replaces its own submodules by folders of its repository, which no
// dependent can do; their published versions, which it requires, do as well. The
// other replacements are repeated, for only those of the main module count.
const dependent = `module example.invalid/vault-program

go 1.25.1

require ` + module + " " + DefaultVersion + `

replace github.com/99designs/keyring => github.com/Jeffail/keyring v1.2.3

replace github.com/ma314smith/signedxml v1.1.1 => github.com/moov-io/signedxml v1.1.1
`
