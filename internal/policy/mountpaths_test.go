package policy_test

import (
	"testing"
)

func TestMountPath(t *testing.T) {
	t.Parallel()
	const (
		denied   = `the injector's policy denies this mount path in namespace "prod"`
		builtIn  = `the injector's policy allows in namespace "prod": /var/run, /run, /mnt, /var/secrets, /secrets, /vault`
		onlyApps = `the injector's policy allows in namespace "prod": /apps`
	)
	only := func(pattern string) string { return `the injector's policy allows in namespace "prod": ` + pattern }
	for _, tt := range []struct{ name, policy, dir, want string }{
		{"no policy", `{}`, "/var/run/secrets/tokens", ""},
		{"no policy, the other name", `{}`, "/run/secrets/tokens", ""},
		{"no policy, each directory itself", `{}`, "/mnt", ""},
		{"no policy, below each", `{}`, "/var/secrets/a", ""},
		{"no policy, below each, too", `{}`, "/vault/secrets", ""},
		{"no policy, another directory", `{}`, "/tokens", builtIn},
		{"no policy, where code is", `{}`, "/usr/lib/python3/dist-packages", builtIn},
		{"no policy, a name that begins alike", `{}`, "/secretsx", builtIn},
		{"no policy, a name that begins alike, below", `{}`, "/var/runner/a", builtIn},
		{"no policy, the directory above", `{}`, "/var", builtIn},
		{"no policy, the case counts", `{}`, "/MNT/a", builtIn},
		{"empty lists", `{mountPaths: {allowed: [], denied: []}}`, "/tokens", builtIn},

		{"a list replaces the built-in one", `{mountPaths: {allowed: [/apps]}}`, "/mnt/a", onlyApps},
		{"the directory itself", `{mountPaths: {allowed: [/apps]}}`, "/apps", ""},
		{"what is below", `{mountPaths: {allowed: [/apps]}}`, "/apps/a/b", ""},
		{"a slash at its end", `{mountPaths: {allowed: [/apps/]}}`, "/apps/a", ""},
		{"a star", `{mountPaths: {allowed: ["/apps/*/tokens"]}}`, "/apps/a/tokens/b", ""},
		{"a star stands for slashes", `{mountPaths: {allowed: ["/apps/*/tokens"]}}`, "/apps/a/b/tokens", ""},
		{"a star, and nothing like it", `{mountPaths: {allowed: ["/apps/*/tokens"]}}`, "/apps/a/token", only("/apps/*/tokens")},
		{"a star at the end is not the directory itself", `{mountPaths: {allowed: ["/apps/*"]}}`, "/apps", only("/apps/*")},
		{"a question mark", `{mountPaths: {allowed: ["/app?"]}}`, "/app1/x", ""},
		{"all", `{mountPaths: {allowed: ["*"]}}`, "/anything", ""},
		{"all below the root", `{mountPaths: {allowed: [/]}}`, "/anything", ""},
		{"a drive is none of Linux", `{mountPaths: {allowed: ['C:\apps']}}`, "/apps", only(`C:\apps`)},

		{"denied", `{mountPaths: {denied: [/mnt]}}`, "/mnt/a", denied},
		{"denied by a pattern", `{mountPaths: {denied: ["/*/secrets"]}}`, "/run/secrets/tokens", denied},
		{"others than the denied", `{mountPaths: {denied: [/mnt/a]}}`, "/mnt/ab", ""},
		{"denied by the other name", `{mountPaths: {denied: [/run/systemd]}}`, "/var/run/systemd/system", denied},
		{"denied by the other name, the other way round", `{mountPaths: {denied: [/var/run/systemd]}}`, "/run/systemd/system", denied},
		{"denied by a pattern of the other name", `{mountPaths: {denied: ["/var/*"]}}`, "/run/a", denied},
		{"allowed by the other name", `{mountPaths: {allowed: [/run/a]}}`, "/var/run/a", ""},
		{"no other name where the name only begins alike", `{mountPaths: {denied: [/var/running]}}`, "/running", builtIn},
		{"denied wins over allowed", `{mountPaths: {allowed: [/apps], denied: [/apps/a]}}`, "/apps/a/b", denied},

		{"a namespace adds to the built-in list", `{namespaces: [{namespaces: [prod], mountPaths: {allowed: [/apps]}}]}`, "/apps/a", ""},
		{"and keeps it", `{namespaces: [{namespaces: [prod], mountPaths: {allowed: [/apps]}}]}`, "/mnt/a", ""},
		{"another namespace adds nothing", `{namespaces: [{namespaces: [test], mountPaths: {allowed: [/apps]}}]}`, "/apps/a", builtIn},
		{"a namespace adds to the overall list", `{mountPaths: {allowed: [/apps]}, namespaces: [{namespaces: [prod], mountPaths: ` +
			`{allowed: [/x]}}]}`, "/y", `the injector's policy allows in namespace "prod": /apps, /x`},
		{"a namespace denies", `{namespaces: [{namespaces: [prod], mountPaths: {denied: [/mnt]}}]}`, "/mnt/a", denied},
		{
			"what all are denied, a namespace cannot allow",
			`{mountPaths: {denied: [/apps]}, namespaces: [{namespaces: [prod], mountPaths: {allowed: [/apps]}}]}`, "/apps", denied,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.want, parse(t, tt.policy).For("prod").MountPath(tt.dir, false))
		})
	}
}

func TestMountPathOfWindows(t *testing.T) {
	t.Parallel()
	const denied = `the injector's policy denies this mount path in namespace "prod"`
	only := func(pattern string) string { return `the injector's policy allows in namespace "prod": ` + pattern }
	builtIn := only("/var/run, /run, /mnt, /var/secrets, /secrets, /vault")
	for _, tt := range []struct{ name, policy, dir, want string }{
		{"no policy", `{}`, `C:\var\run\secrets\tokens`, ""},
		{"without a drive", `{}`, `\var\run\secrets`, ""},
		{"as on Linux", `{}`, `/var/run/secrets`, ""},
		{"in capitals", `{}`, `c:/VAR/Run/a`, ""},
		{"another drive", `{}`, `D:\var\run\secrets`, builtIn},
		{"another directory", `{}`, `C:\Program Files\app`, builtIn},
		{"a path of drive C", `{mountPaths: {allowed: ['C:\Tokens']}}`, `\tokens\a`, ""},
		{"a path without a drive", `{mountPaths: {allowed: [/tokens]}}`, `C:\tokens\a`, ""},
		{"a path of another drive", `{mountPaths: {allowed: ['D:\tokens']}}`, `d:\TOKENS\a`, ""},
		{"a path of another drive only", `{mountPaths: {allowed: ['D:\tokens']}}`, `C:\tokens`, only(`D:\tokens`)},
		{"a path of any drive", `{mountPaths: {allowed: ['?:\tokens']}}`, `C:\tokens`, ""},
		{"a path of any drive, none", `{mountPaths: {denied: ['?:\mnt']}}`, `\mnt`, denied},
		{"a whole drive", `{mountPaths: {allowed: ['D:\']}}`, `D:\a`, ""},
		{"all", `{mountPaths: {allowed: ["*"]}}`, `E:\a`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expect(t, tt.want, parse(t, tt.policy).For("prod").MountPath(tt.dir, true))
		})
	}
}
