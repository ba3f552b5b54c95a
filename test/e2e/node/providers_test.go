package node

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// testProviders has containers of all kinds of users read what an SDK would: variables,
// the provider's file, and the token that it names.
func (n *node) testProviders(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		security   corev1.PodSecurityContext
		containers []corev1.Container
		mode       string // an annotation, or empty
	}{
		"root":        {containers: []corev1.Container{user(container("a"), root)}},
		"one-user":    {containers: []corev1.Container{user(container("a"), app)}},
		"two-users":   {containers: []corev1.Container{user(container("a"), app), user(container("b"), side)}},
		"root-beside": {containers: []corev1.Container{user(container("a"), root), user(container("b"), side)}},
		"group": {
			security:   corev1.PodSecurityContext{FSGroup: new(team)},
			containers: []corev1.Container{container("a"), user(container("b"), side)},
		},
		"tight":        {containers: []corev1.Container{user(container("a"), app)}, mode: "0400"},
		"user-unknown": {containers: []corev1.Container{container("a")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := newPod("provider-"+name, test.containers...)
			pod.Spec.SecurityContext = test.security.DeepCopy()
			pod.Annotations = annotations(
				"gcp-provider=projects/123456789012/locations/global/workloadIdentityPools/pool/providers/cluster", "audience.gcp=vault")
			if test.mode != "" {
				pod.Annotations["oidc-injector.io/file-mode.gcp"] = test.mode
			}
			n.create(t, pod)
			n.waitReady(t, pod.Name)
			for _, c := range test.containers {
				const directory = "/var/run/secrets/tokens-gcp/"
				if env := n.exec(t, pod.Name, c.Name, "env"); !strings.Contains(env,
					"GOOGLE_APPLICATION_CREDENTIALS="+directory+"google-credentials.json\n") {
					t.Errorf("container %s has variables\n%s", c.Name, env)
				}
				file := n.exec(t, pod.Name, c.Name, "cat", directory+"google-credentials.json")
				if !strings.Contains(file, `"credential_source":{"file":"`+directory+`oidc-token"`) {
					t.Errorf("container %s reads %s", c.Name, file)
				}
				if token := n.exec(t, pod.Name, c.Name, "cat", directory+"oidc-token"); strings.Count(token, ".") != 2 {
					t.Errorf("container %s reads %d bytes that are no token", c.Name, len(token))
				}
			}
		})
	}
}
