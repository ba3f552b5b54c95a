package mutate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokenFiles(t *testing.T) {
	t.Parallel()
	const volumes = `"volumes":[
		{"name":"oidc-token","projected":{"defaultMode":256,"sources":[{"serviceAccountToken":{"audience":"vault","path":"oidc-token"}}]}},
		{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}]`
	const mount = `"volumeMounts":[{"name":"oidc-token","mountPath":"/t"}]`
	for name, c := range map[string]struct {
		pod  string
		want TokenFile
	}{
		"root_reads_and_others_may_not": {
			`{"spec":{"containers":[{"name":"a","securityContext":{"runAsUser":0},` + mount +
				`},{"name":"b",` + mount + `},{"name":"c"}],` +
				volumes + `}}`,
			TokenFile{Mode: 0o400, Readers: []string{"a"}, Doubtful: []string{"b"}},
		},
		"the_group_of_files_reads": {
			`{"spec":{"securityContext":{"fsGroup":7},"containers":[{"name":"a",` + mount + `}],` + volumes + `}}`,
			TokenFile{Mode: 0o640, Group: 7, Readers: []string{"a"}},
		},
		"the_only_user_owns_the_file": {
			`{"spec":{"securityContext":{"runAsUser":9},"containers":[{"name":"a",` + mount + `}],` + volumes + `}}`,
			TokenFile{Mode: 0o600, Owner: 9, Readers: []string{"a"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod, err := ParsePod([]byte(c.pod))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Volume, c.want.File, c.want.Audience = "oidc-token", "oidc-token", "vault"
			if diff := cmp.Diff([]TokenFile{c.want}, pod.TokenFiles()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
