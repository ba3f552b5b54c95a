package policy

import (
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/glob"
)

// WellKnownAPIServerAudiences are patterns of the audiences that are reserved for the
// cluster's own API server, for those who apply the policy in another language.
func WellKnownAPIServerAudiences() []string { return texts(wellKnownAPIServerAudiences) }

// DefaultMountPaths are the directories that are allowed where the configuration allows none.
func DefaultMountPaths() []string { return slices.Clone(defaultMountPaths) }

// ReservedVariables are patterns of variables that annotations may not name, unless they
// are allowed by name, or are among the TokenVariables.
func ReservedVariables() []string {
	all := make([]string, 0, 250)
	for _, r := range reserved {
		all = append(all, texts(r.names)...)
	}
	return all
}

// TokenVariables are patterns of variables that are never reserved.
func TokenVariables() []string { return texts(tokens) }

func texts(patterns []glob.Pattern) []string {
	all := make([]string, 0, len(patterns))
	for _, p := range patterns {
		all = append(all, p.String())
	}
	return all
}
