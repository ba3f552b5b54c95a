package provider

import (
	"embed"
	"fmt"
	"path"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

//go:embed builtin/*.yaml
var files embed.FS

// BuiltIn are the providers that every cluster has: those of the folder, a file for each.
// A test reads them, so that none of them is wrong in a program.
var BuiltIn = sync.OnceValue(func() *Set {
	entries, err := files.ReadDir("builtin")
	if err != nil {
		panic(err) //nolint:forbidigo // it is a part of the program
	}
	all := make(map[string]Spec, len(entries))
	for _, entry := range entries {
		text, err := files.ReadFile(path.Join("builtin", entry.Name()))
		if err != nil {
			panic(err) //nolint:forbidigo // it is a part of the program
		}
		var s Spec
		if err := yaml.UnmarshalStrict(text, &s); err != nil {
			panic(fmt.Sprintf("%s: %v", entry.Name(), err)) //nolint:forbidigo // it is a part of the program
		}
		all[strings.TrimSuffix(entry.Name(), ".yaml")] = s
	}
	set, errs := newSet(nil, all, func(string) bool { return false }, field.NewPath("builtin"))
	if len(errs) > 0 {
		panic(errs.ToAggregate()) //nolint:forbidigo // it is a part of the program
	}
	return set
})
