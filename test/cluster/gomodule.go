package cluster

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/test/internal/buildcache"
)

// pinned holds go.mod and go.sum of the releases that are built reproducibly.
//
//go:embed modules
var pinned embed.FS

func pinnedModule(version string) (mod, sum []byte, found bool) {
	files, err := fs.Sub(pinned, "modules")
	if err != nil {
		return nil, nil, false
	}
	return buildcache.Module(files, version)
}

// writeKubernetesModule writes a module from which the programs of a release
// build: from the pinned files if there are some, else resolved now.
func writeKubernetesModule(ctx context.Context, dir, version string) error {
	mod, sum, found := pinnedModule(version)
	if !found {
		return resolveModule(ctx, dir, version)
	}
	return buildcache.WriteFiles(dir, map[string][]byte{"go.mod": mod, "go.sum": sum})
}

// PinModule resolves the module of a release into files of a folder, which is
// to be test/cluster/modules.
func PinModule(ctx context.Context, dir, version string) error {
	return buildcache.PinModule(dir, version, func(dir string) error {
		return resolveModule(ctx, dir, version)
	})
}

// resolveModule writes go.mod and go.sum of a module from which the programs
// of a release build.
func resolveModule(ctx context.Context, dir, version string) error {
	kubernetes, err := readKubernetesModule(ctx, version)
	if err != nil {
		return err
	}
	return buildcache.ResolveModule(ctx, dir, kubernetes.dependent(version),
		buildcache.ImportPrograms(slices.Sorted(maps.Values(packages))))
}

// goMod is the part of `go mod edit -json` that is of interest here.
type goMod struct {
	Go      string
	Godebug []struct{ Key, Value string }
	Require []struct{ Path, Version string }
	Replace []struct{ Old, New struct{ Path string } }
}

func readKubernetesModule(ctx context.Context, version string) (*goMod, error) {
	command := buildcache.GoCommand{Dir: os.TempDir()}
	out, err := command.Stdout(ctx, "mod", "download", "-json", "k8s.io/kubernetes@"+version)
	if err != nil {
		return nil, err
	}
	var download struct{ GoMod string }
	if err := json.Unmarshal(out, &download); err != nil {
		return nil, fmt.Errorf("could not parse the place of a go.mod: %w", err)
	}
	if out, err = command.Stdout(ctx, "mod", "edit", "-json", download.GoMod); err != nil {
		return nil, err
	}
	var mod goMod
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, fmt.Errorf("could not parse a go.mod: %w", err)
	}
	return &mod, nil
}

// dependent is the go.mod of a module that requires the release. The release
// replaces its staging modules by folders of its own repository; no dependent
// can do so, hence each is replaced by the version published along with it.
func (m *goMod) dependent(version string) []byte {
	var out strings.Builder
	fmt.Fprintf(&out, "module example.invalid/kubernetes-programs\n\ngo %s\n\n", m.Go)
	for _, setting := range m.Godebug {
		fmt.Fprintf(&out, "godebug %s=%s\n\n", setting.Key, setting.Value)
	}
	fmt.Fprintf(&out, "require (\n\tk8s.io/kubernetes %s\n", version)
	for _, requirement := range m.Require {
		// The server has to be of the same version as the client.
		if requirement.Path == "go.etcd.io/etcd/client/v3" {
			fmt.Fprintf(&out, "\tgo.etcd.io/etcd/server/v3 %s\n", requirement.Version)
		}
	}
	out.WriteString(")\n\nreplace (\n")
	published := "v0" + strings.TrimPrefix(version, "v1")
	for _, replacement := range m.Replace {
		if strings.HasPrefix(replacement.New.Path, "./staging/") {
			fmt.Fprintf(&out, "\t%[1]s => %[1]s %[2]s\n", replacement.Old.Path, published)
		}
	}
	out.WriteString(")\n")
	return []byte(out.String())
}
