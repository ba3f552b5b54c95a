package annotations

import (
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// KeyDescription says what a key is for, for editors.
type KeyDescription struct {
	Key string
	// Text is a sentence or two, and Example a value; OneOf are the only values, where
	// there are few.
	Text, Example string
	OneOf         []string
}

// ownKeys are described here; those of logins are in their table.
var ownKeys = []KeyDescription{
	{Key: Audience, Text: "The token's aud claim. It asks for the token.", Example: "vault"},
	{Key: Expiration, Text: "The token's lifetime: whole seconds, or a Go duration.", Example: "2h"},
	{Key: TokenFile, Text: "The name of the token's file in the mount path.", Example: DefaultTokenFile},
	{Key: MountPath, Text: "The directory of the token's file: an absolute, clean path.", Example: DefaultMountPath},
	{Key: FileMode, Text: "The octal mode of the token's file.", Example: "0440"},
	{Key: Env, Text: "A variable that gets the full path of the token's file.", Example: "VAULT_JWT_FILE"},
	{Key: Containers, Text: "The only containers that get the token, separated by commas.", Example: "app,worker"},
	{Key: SkipContainers, Text: "The containers that do not get the token, separated by commas.", Example: "istio-proxy"},
	{Key: Profile, Text: "A named preset of the injector's configuration.", Example: "vault"},
	{Key: Provider, Text: "What an SDK reads, by the name of a provider that needs no parameters.", Example: "gcp"},
	{Key: Inject, Text: "false switches everything off, whatever else is there.", OneOf: []string{"true", "false"}},
}

// Descriptions are those of all keys that users may write but the parameters of
// providers, in the order of [InputKeys].
func Descriptions() []KeyDescription {
	all := make([]KeyDescription, 0, len(inputKeys))
	options := loginspec.All()
	for _, key := range inputKeys {
		if i := slices.IndexFunc(ownKeys, func(d KeyDescription) bool { return d.Key == key }); i >= 0 {
			all = append(all, ownKeys[i])
			continue
		}
		i := slices.IndexFunc(options, func(o loginspec.Option) bool { return o.Key == key })
		o := &options[i]
		all = append(all, KeyDescription{Key: key, Text: o.Help, Example: o.Example, OneOf: o.OneOf})
	}
	return all
}
