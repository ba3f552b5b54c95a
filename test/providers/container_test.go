package providers

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission/admissiontest"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// container is what an app finds in its container: the variables are those of the test's
// process, and the files are in a folder of its own.
type container struct {
	// path is the token's file, and token what is in it.
	path, token string
	audience    string
}

const prefix = annotations.Prefix(annotations.DefaultPrefix)

// inject has the webhook's code inject a pod with these annotations, without their
// prefix, and plays its container, whose token has to have that audience.
func inject(t *testing.T, audience string, asked ...map[string]string) *container {
	t.Helper()
	return injectBeside(t, nil, audience, asked...)
}

// injectBeside does so with a container that has variables already.
func injectBeside(t *testing.T, env []corev1.EnvVar, audience string, asked ...map[string]string) *container {
	t.Helper()
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app-0", Annotations: map[string]string{}},
		Spec: corev1.PodSpec{
			ServiceAccountName: "app",
			Containers:         []corev1.Container{{Name: "app", Image: "registry.example/app:1", Env: env}},
		},
	}
	for _, some := range asked {
		for key, value := range some {
			pod.Annotations[prefix.Key(key, "")] = value
		}
	}
	// Pods name other addresses than the clouds' own here.
	cfg, err := config.Parse([]byte("apiVersion: "+config.APIVersion+"\nkind: "+config.Kind+"\n"+
		"policy: {loginAddresses: {allowed: ['https://*:*', 'http://*:*']}}\n"), config.Environment{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	injected, err := admissiontest.Inject(cfg, "v1", pod)
	if err != nil {
		t.Fatal(err)
	}
	internet.watch(t)
	c := play(t, injected)
	if c.audience != audience {
		t.Errorf("audience %q: want %s", c.audience, audience)
	}
	return c
}

// play does for the only container of a pod what the kubelet does.
func play(t *testing.T, pod *corev1.Pod) *container {
	t.Helper()
	app := pod.Spec.Containers[0]
	if len(pod.Spec.Volumes) != 1 || len(app.VolumeMounts) != 1 {
		t.Fatalf("the pod has %d volumes and its container mounts %d: one of each is expected", len(pod.Spec.Volumes),
			len(app.VolumeMounts))
	}
	directory := t.TempDir()
	// The container's own paths are of no use here.
	local := strings.NewReplacer(app.VolumeMounts[0].MountPath, directory).Replace
	c := &container{}
	for _, source := range pod.Spec.Volumes[0].Projected.Sources {
		switch {
		case source.ServiceAccountToken != nil:
			c.path, c.audience = filepath.Join(directory, source.ServiceAccountToken.Path), source.ServiceAccountToken.Audience
			c.rotate(t)
		case source.DownwardAPI != nil:
			for _, item := range source.DownwardAPI.Items {
				write(t, filepath.Join(directory, item.Path), local(annotation(t, pod, item.FieldRef.FieldPath)))
			}
		default:
			t.Fatalf("the volume has a source that no kubelet is played for: %v", source)
		}
	}
	if c.path == "" {
		t.Fatal("the pod has no token")
	}
	forget(t)
	for _, v := range app.Env {
		t.Setenv(v.Name, local(v.Value))
	}
	return c
}

// annotation is what a fieldRef metadata.annotations['name'] stands for.
func annotation(t *testing.T, pod *corev1.Pod, fieldPath string) string {
	t.Helper()
	name, isOne := strings.CutPrefix(fieldPath, "metadata.annotations['")
	value, found := pod.Annotations[strings.TrimSuffix(name, "']")]
	if !isOne || !found {
		t.Fatalf("the pod has no %s", fieldPath)
	}
	return value
}

// forget takes all variables of the machine away, until the test ends: in a container
// there are none of them, and SDKs know many.
func forget(t *testing.T) {
	t.Helper()
	// The rest is what the program itself needs.
	kept := map[string]bool{
		"HTTPS_PROXY": true, "HTTP_PROXY": true, "TMPDIR": true, "TMP": true, "TEMP": true, "SystemRoot": true,
		"GOCOVERDIR": true,
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if name == "" || kept[name] {
			continue
		}
		unset(t, name)
	}
	t.Setenv("HOME", t.TempDir())
}

// unset takes a variable away until the test ends.
func unset(t *testing.T, name string) {
	t.Helper()
	t.Setenv(name, "") // it comes back
	if err := os.Unsetenv(name); err != nil {
		t.Fatal(err)
	}
}

// rotate writes another token, as the kubelet does before one expires. It is a JWT, for
// some SDKs read claims of it, whose signature nobody checks.
func (c *container) rotate(t *testing.T) {
	t.Helper()
	now := time.Now()
	claims := fmt.Sprintf(`{"iss":"https://issuer.example","sub":"system:serviceaccount:team:app","aud":[%q],"iat":%d,"exp":%d,"jti":%q}`,
		c.audience, now.Unix(), now.Add(time.Hour).Unix(), rand.Text())
	c.token = unsigned(claims)
	write(t, c.path, c.token)
}

// unsigned is a JWT with a signature that is none.
func unsigned(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","kid":"test"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
