package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/cli/manifest"
	"github.com/oidc-injector/oidc-injector/internal/cli/preview"
	"github.com/oidc-injector/oidc-injector/internal/config"
)

// peerCase is a ServiceAccount and a pod that were written for a peer.
type peerCase struct {
	account, labels, pod map[string]string
	flags                []string
	// onlyPod is true where a binding cannot say it.
	onlyPod bool
}

// peerUnderTest is a peer, as far as its documentation says what it does.
type peerUnderTest struct {
	// variables are those of apps that it sets, as far as they decide something.
	variables []string
	// apply is what it does to a pod with these annotations on its ServiceAccount.
	apply func(account map[string]string, pod *corev1.Pod)
	cases map[string]peerCase
}

const (
	testRole     = "arn:aws:iam::123456789012:role/app"
	testProvider = "projects/123456789/locations/global/workloadIdentityPools/pool/providers/cluster"
	testEmail    = "app@project-1.iam.gserviceaccount.com"
	testClient   = "11111111-2222-3333-4444-555555555555"
	testTenant   = "66666666-7777-8888-9999-000000000000"
)

var peersUnderTest = map[string]peerUnderTest{
	"aws": {
		variables: []string{
			"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_STS_REGIONAL_ENDPOINTS",
		},
		apply: applyAWS,
		cases: map[string]peerCase{
			"role": {account: map[string]string{"role-arn": testRole}},
			"all of it": {
				account: map[string]string{
					"role-arn": testRole, "audience": "sts.example.com", "sts-regional-endpoints": "true",
					"token-expiration": "7200",
				},
				pod: map[string]string{"token-expiration": "3700", "skip-containers": "proxy"}, onlyPod: true,
			},
			"what is ignored": {
				account: map[string]string{"role-arn": testRole, "sts-regional-endpoints": "maybe", "token-expiration": "soon"},
				pod:     map[string]string{"skip-containers": "app, proxy"}, onlyPod: true,
			},
			"too short": {account: map[string]string{"role-arn": testRole, "token-expiration": "60", "sts-regional-endpoints": "false"}},
		},
	},
	"azure": {
		// AZURE_AUTHORITY_HOST is that of the public cloud, which SDKs take without it.
		variables: []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE"},
		apply:     applyAzure,
		cases: map[string]peerCase{
			"both": {
				account: map[string]string{"client-id": testClient, "tenant-id": testTenant},
				labels:  map[string]string{"use": "true"},
			},
			"a default tenant": {
				account: map[string]string{"client-id": testClient}, labels: map[string]string{"use": "true"},
				flags: []string{"--azure-tenant-id=" + testTenant},
			},
			"no label": {account: map[string]string{"client-id": testClient, "tenant-id": testTenant}},
			"all of it": {
				account: map[string]string{"client-id": testClient, "tenant-id": testTenant, "service-account-token-expiration": "4000"},
				pod:     map[string]string{"service-account-token-expiration": "5000", "skip-containers": "proxy; none"},
				labels:  map[string]string{"use": "true"}, onlyPod: true,
			},
		},
	},
	"gcp": {
		variables: []string{"GOOGLE_APPLICATION_CREDENTIALS"},
		apply:     applyGCP,
		cases: map[string]peerCase{
			"gcloud": {account: map[string]string{"workload-identity-provider": testProvider, "service-account-email": testEmail}},
			"direct": {account: map[string]string{
				"workload-identity-provider": testProvider, "service-account-email": testEmail, "injection-mode": "direct",
			}},
			"all of it": {
				account: map[string]string{
					"workload-identity-provider": testProvider, "service-account-email": testEmail, "injection-mode": "direct",
					"audience": "gcp", "token-expiration": "7200",
					"gcloud-run-as-user": "1000", "project-id": "project-2",
				},
				pod: map[string]string{"token-expiration": "60", "skip-containers": "proxy,none"}, onlyPod: true,
			},
			"no impersonation": {account: map[string]string{
				"workload-identity-provider": testProvider, "token-exchange-mode": "direct-access", "injection-mode": "direct",
			}},
		},
	},
	"vault": {
		variables: []string{vaultTokenFile},
		apply:     applyVault,
		cases: map[string]peerCase{
			"token": {onlyPod: true, pod: map[string]string{
				"agent-inject": "true", "agent-inject-token": "true", "role": "demo", "service": "https://vault.example.com:8200",
			}},
			"all of it": {onlyPod: true, flags: []string{"--vault-address=https://vault.example.com"}, pod: map[string]string{
				"agent-inject": "1", "agent-inject-token": "true", "agent-inject-containers": "app", "agent-pre-populate-only": "true",
				"role": "demo", "namespace": "team", "auth-path": "auth/kubernetes-2/", "secret-volume-path": "/vault/tokens",
				"tls-secret": "vault-tls", "ca-cert": "/vault/tls/ca.pem", "client-cert": "/vault/tls/tls.crt",
				"client-key": "/vault/tls/tls.key", "tls-server-name": "vault.internal", "agent-limits-cpu": "1",
			}},
			"by JWT": {onlyPod: true, pod: map[string]string{
				"agent-inject": "true", "agent-inject-token": "true", "role": "demo", "service": "https://vault.example.com:8200",
				"auth-type": "jwt", "auth-path": "auth/jwt",
			}},
			"not wanted": {onlyPod: true, pod: map[string]string{"agent-inject": "false", "agent-inject-token": "true", "role": "demo"}},
		},
	},
}

var peerDomains = map[string]string{
	"aws": "eks.amazonaws.com", "azure": "azure.workload.identity", "gcp": "cloud.google.com", "vault": "vault.hashicorp.com",
}

func (c *peerCase) objects(domain string) (account corev1.ServiceAccount, pod corev1.Pod) {
	qualified := func(all map[string]string) map[string]string {
		names := map[string]string{"team": "shop"}
		for key, value := range all {
			names[domain+"/"+key] = value
		}
		return names
	}
	account.APIVersion, account.Kind, account.Name, account.Annotations = "v1", "ServiceAccount", "app", qualified(c.account)
	pod.APIVersion, pod.Kind, pod.Name, pod.Annotations, pod.Labels = "v1", "Pod", "app", qualified(c.pod), qualified(c.labels)
	pod.Spec.ServiceAccountName = "app"
	pod.Spec.InitContainers = []corev1.Container{{Name: "setup", Image: "app"}}
	pod.Spec.Containers = []corev1.Container{
		{Name: "app", Image: "app"}, {Name: "proxy", Image: "proxy", Env: []corev1.EnvVar{{Name: "OTHER", Value: "x"}}},
	}
	return account, pod
}

// TestMigratedPodsAreEquivalent has the containers of a migrated pod find what the peer
// would have given them: the same tokens, for as long, by the same variables.
func TestMigratedPodsAreEquivalent(t *testing.T) {
	t.Parallel()
	for name, peer := range peersUnderTest {
		for of, c := range peer.cases {
			t.Run(name+"/"+of, func(t *testing.T) {
				t.Parallel()
				account, before := c.objects(peerDomains[name])
				theirs := before.DeepCopy()
				peer.apply(c.account, theirs)
				want := viewOf(t, theirs, peer.variables)

				stream := encode(t, account) + "\n" + encode(t, before)
				_, out, errOut := call(t, stream, append([]string{"migrate"}, c.flags...)...)
				migrated := podIn(t, out)
				if diff := cmp.Diff(want, viewOf(t, injected(t, goldenConfig, migrated), peer.variables)); diff != "" {
					t.Errorf("by annotations (-peer +ours):\n%s%s%s", diff, out, errOut)
				}
				if len(want) > 0 && strings.Contains(out, peerDomains[name]) {
					t.Errorf("something is left:\n%s", out)
				}
				if c.onlyPod {
					return
				}
				_, bindings, errOut := call(t, stream, append([]string{"migrate", "--bindings"}, c.flags...)...)
				if diff := cmp.Diff(want, viewOf(t, injected(t, goldenConfig+bindings, before), peer.variables)); diff != "" {
					t.Errorf("by bindings (-peer +ours):\n%s%s%s", diff, bindings, errOut)
				}
			})
		}
	}
}

// TestMigrateKeepsOthers has manifests that say nothing to a peer stay to the byte.
func TestMigrateKeepsOthers(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/manifests/*")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code, out, errOut := call(t, string(text), "migrate")
		if code != ExitOK || out != string(text) || errOut != "" {
			t.Errorf("%s: exit code %d, and (-want +got):\n%s%s", file, code, cmp.Diff(string(text), out), errOut)
		}
	}
}

func encode(t *testing.T, object any) string {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// podIn is the pod in a stream.
func podIn(t *testing.T, stream string) (pod corev1.Pod) {
	t.Helper()
	for documents := manifest.NewReader(strings.NewReader(stream)); ; {
		d, err := documents.Next()
		if err != nil {
			t.Fatalf("no pod in %s: %v", stream, err)
		}
		if raw, err := d.ToJSON(); err != nil || json.Unmarshal(raw, &pod) != nil {
			t.Fatalf("%s: %v", stream, err)
		}
		if pod.Kind == "Pod" {
			return pod
		}
	}
}

// injected is the pod after the webhook.
func injected(t *testing.T, configuration string, pod corev1.Pod) *corev1.Pod {
	t.Helper()
	cfg, err := config.Parse([]byte(configuration), config.Environment{Prefix: annotations.DefaultPrefix})
	if err != nil {
		t.Fatalf("%s: %v", configuration, err)
	}
	raw := []byte(encode(t, pod))
	a, asked, err := (&preview.Webhook{Config: cfg, Namespace: "default"}).Ask(manifest.Objects(raw)[0])
	if err != nil || !asked || len(a.Errors) > 0 {
		t.Fatalf("%v %v", err, a.Errors)
	}
	text, err := a.Patch()
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = patch.Apply(raw); err != nil {
		t.Fatal(err)
	}
	var after corev1.Pod
	if err := json.Unmarshal(raw, &after); err != nil {
		t.Fatal(err)
	}
	return &after
}

// viewOf is what apps find: by container and variable, its value, and where that is a path
// the meaning of the file.
func viewOf(t *testing.T, pod *corev1.Pod, variables []string) map[string]map[string]string {
	t.Helper()
	view := map[string]map[string]string{}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if !slices.Contains([]string{"setup", "app", "proxy"}, c.Name) {
			continue
		}
		for _, e := range c.Env {
			if !slices.Contains(variables, e.Name) {
				continue
			}
			if view[c.Name] == nil {
				view[c.Name] = map[string]string{}
			}
			view[c.Name][e.Name] = meaning(t, pod, &c, e.Value)
		}
	}
	return view
}

// meaning resolves paths.
func meaning(t *testing.T, pod *corev1.Pod, c *corev1.Container, value string) string {
	t.Helper()
	for _, mount := range c.VolumeMounts {
		file, below := strings.CutPrefix(value, path.Clean(mount.MountPath)+"/")
		i := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if !below || i < 0 {
			continue
		}
		switch v := pod.Spec.Volumes[i]; {
		case v.Projected != nil:
			for _, s := range v.Projected.Sources {
				if s.ServiceAccountToken != nil && s.ServiceAccountToken.Path == file {
					return fmt.Sprintf("token for %s, %d s", s.ServiceAccountToken.Audience, *s.ServiceAccountToken.ExpirationSeconds)
				}
				if s.DownwardAPI != nil && s.DownwardAPI.Items[0].Path == file {
					return credentials(t, pod, c, s.DownwardAPI.Items[0].FieldRef.FieldPath)
				}
			}
		case v.DownwardAPI != nil:
			return credentials(t, pod, c, v.DownwardAPI.Items[0].FieldRef.FieldPath)
		case v.EmptyDir != nil:
			return loginOf(pod, value)
		}
	}
	return value
}

// credentials are those that libraries of Google read from an annotation, with the meaning
// of the file in them.
func credentials(t *testing.T, pod *corev1.Pod, c *corev1.Container, field string) string {
	t.Helper()
	name := strings.TrimSuffix(strings.TrimPrefix(field, "metadata.annotations['"), "']")
	var all map[string]any
	if err := json.Unmarshal([]byte(pod.Annotations[name]), &all); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	delete(all, "universe_domain") // googleapis.com is what it is without
	source, _ := all["credential_source"].(map[string]any)
	file, _ := source["file"].(string)
	source["file"] = meaning(t, pod, c, file)
	return encode(t, all)
}

func addTo(pod *corev1.Pod, skipped []string, add func(c *corev1.Container)) {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !slices.Contains(skipped, list[i].Name) {
				add(&list[i])
			}
		}
	}
}

func tokenVolume(name, audience, file string, seconds int64) corev1.Volume {
	token := corev1.ServiceAccountTokenProjection{Audience: audience, ExpirationSeconds: &seconds, Path: file}
	sources := []corev1.VolumeProjection{{ServiceAccountToken: &token}}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}
}

func orElse(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

// applyAWS does what the README of amazon-eks-pod-identity-webhook shows, and for what
// that leaves open its pkg/handler and pkg/cache.
func applyAWS(account map[string]string, pod *corev1.Pod) {
	if account["role-arn"] == "" {
		return
	}
	seconds := int64(86400)
	for _, text := range []string{account["token-expiration"], pod.Annotations["eks.amazonaws.com/token-expiration"]} {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			seconds = max(n, 3600)
		}
	}
	const dir = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
	audience := orElse(account["audience"], "sts.amazonaws.com")
	pod.Spec.Volumes = append(pod.Spec.Volumes, tokenVolume("aws-iam-token", audience, "token", seconds))
	// CSV: white space belongs to the names.
	addTo(pod, strings.Split(pod.Annotations["eks.amazonaws.com/skip-containers"], ","), func(c *corev1.Container) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "aws-iam-token", MountPath: dir, ReadOnly: true})
		if account["sts-regional-endpoints"] == "true" {
			c.Env = append(c.Env, corev1.EnvVar{Name: "AWS_STS_REGIONAL_ENDPOINTS", Value: "regional"})
		}
		c.Env = append(c.Env, corev1.EnvVar{Name: "AWS_ROLE_ARN", Value: account["role-arn"]},
			corev1.EnvVar{Name: "AWS_WEB_IDENTITY_TOKEN_FILE", Value: dir + "/token"})
	})
}

// applyAzure does what https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html
// and pkg/webhook/webhook.go say.
func applyAzure(account map[string]string, pod *corev1.Pod) {
	if pod.Labels["azure.workload.identity/use"] != "true" {
		return
	}
	seconds, _ := strconv.ParseInt(orElse(pod.Annotations["azure.workload.identity/service-account-token-expiration"],
		orElse(account["service-account-token-expiration"], "3600")), 10, 64)
	var skipped []string
	for name := range strings.SplitSeq(pod.Annotations["azure.workload.identity/skip-containers"], ";") {
		skipped = append(skipped, strings.TrimSpace(name))
	}
	const dir = "/var/run/secrets/azure/tokens"
	pod.Spec.Volumes = append(pod.Spec.Volumes,
		tokenVolume("azure-identity-token", "api://AzureADTokenExchange", "azure-identity-token", seconds))
	addTo(pod, skipped, func(c *corev1.Container) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "azure-identity-token", MountPath: dir, ReadOnly: true})
		c.Env = append(c.Env, corev1.EnvVar{Name: "AZURE_CLIENT_ID", Value: account["client-id"]},
			corev1.EnvVar{Name: "AZURE_TENANT_ID", Value: orElse(account["tenant-id"], testTenant)},
			corev1.EnvVar{Name: "AZURE_FEDERATED_TOKEN_FILE", Value: dir + "/azure-identity-token"})
	})
}

// applyGCP does what the README of gcp-workload-identity-federation-webhook shows. In the
// mode gcloud, gcloud writes the same credentials as are in an annotation in the mode direct.
func applyGCP(account map[string]string, pod *corev1.Pod) {
	expiration := orElse(pod.Annotations["cloud.google.com/token-expiration"], orElse(account["token-expiration"], "86400"))
	seconds, _ := strconv.ParseInt(expiration, 10, 64)
	const dir, name = "/var/run/secrets/sts.googleapis.com/serviceaccount", "cloud.google.com/external-credentials-json"
	all := map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/" + account["workload-identity-provider"],
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": "https://sts.googleapis.com/v1/token",
		"credential_source": map[string]any{"file": dir + "/token", "format": map[string]any{"type": "text"}},
	}
	if account["token-exchange-mode"] != "direct-access" {
		all["service_account_impersonation_url"] = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" +
			account["service-account-email"] + ":generateAccessToken"
	}
	text, _ := json.Marshal(all) //nolint:errchkjson // strings
	pod.Annotations[name] = string(text)
	file := corev1.DownwardAPIVolumeFile{
		Path: "federation.json", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['" + name + "']"},
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes,
		tokenVolume("gcp-iam-token", orElse(account["audience"], "sts.googleapis.com"), "token", max(seconds, 3600)),
		corev1.Volume{Name: "external-credential-config", VolumeSource: corev1.VolumeSource{
			DownwardAPI: &corev1.DownwardAPIVolumeSource{Items: []corev1.DownwardAPIVolumeFile{file}},
		}})
	addTo(pod, strings.Split(pod.Annotations["cloud.google.com/skip-containers"], ","), func(c *corev1.Container) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "gcp-iam-token", MountPath: dir},
			corev1.VolumeMount{Name: "external-credential-config", MountPath: "/var/run/secrets/gcloud/config"})
		c.Env = append(c.Env, corev1.EnvVar{
			Name: "GOOGLE_APPLICATION_CREDENTIALS", Value: "/var/run/secrets/gcloud/config/federation.json",
		})
	})
}

// vaultTokenFile stands for the path of the token, which apps of vault-k8s know without a
// variable.
const vaultTokenFile = "VAULT_TOKEN_FILE"

// vaultLogin says what a login is, in the words of both.
func vaultLogin(mode, file, address, mount, role, namespace, serverName string, tls ...string) string {
	return fmt.Sprintf("login %s at %s auth/%s role %q namespace %q server name %q tls %v in %s",
		mode, address, mount, role, namespace, serverName, tls, file)
}

// applyVault does what https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations
// says of agent-inject-token; the login is written in words here, and so is ours by
// [loginOf]. It mounts into the containers of the pod, and ours into its init containers, too.
func applyVault(_ map[string]string, pod *corev1.Pod) {
	of := map[string]string{}
	for name, value := range pod.Annotations {
		of[strings.TrimPrefix(name, "vault.hashicorp.com/")] = value
	}
	if of["agent-inject"] == "false" {
		return
	}
	mode := "sidecar"
	if of["agent-pre-populate-only"] == "true" {
		mode = "init"
	}
	var tls []string
	if of["tls-secret"] != "" {
		tls = []string{"vault-tls/ca.pem", "vault-tls"}
	}
	login := vaultLogin(mode, orElse(of["secret-volume-path"], "/vault/secrets")+"/token",
		orElse(of["service"], "https://vault.example.com"),
		strings.Trim(strings.TrimPrefix(orElse(of["auth-path"], "auth/kubernetes"), "auth/"), "/"),
		of["role"], of["namespace"], of["tls-server-name"], tls...)
	names := strings.Split(orElse(of["agent-inject-containers"], "setup,app,proxy"), ",")
	addTo(pod, nil, func(c *corev1.Container) {
		if slices.Contains(names, c.Name) {
			c.Env = append(c.Env, corev1.EnvVar{Name: vaultTokenFile, Value: login})
		}
	})
}

// loginOf says what our login container does that writes a file.
func loginOf(pod *corev1.Pod, file string) string {
	for _, c := range pod.Spec.InitContainers {
		of := map[string]string{}
		for _, e := range c.Env {
			of[strings.TrimPrefix(e.Name, "OIDC_LOGIN_")] = e.Value
		}
		if of["OUTPUT_FILE"] != file {
			continue
		}
		var tls []string
		for _, volume := range []string{"oidc-login-ca", "oidc-login-client"} {
			for _, v := range pod.Spec.Volumes {
				if v.Name == volume {
					tls = append(tls, secretIn(v))
				}
			}
		}
		return vaultLogin(of["MODE"], file, of["ADDRESS"], of["MOUNT"], of["ROLE"], of["NAMESPACE"], of["TLS_SERVER_NAME"], tls...)
	}
	return "nobody writes " + file
}

// secretIn names the Secret of a volume, and its key where only one is mounted.
func secretIn(v corev1.Volume) string {
	if v.Projected == nil {
		if len(v.Secret.Items) == 1 {
			return v.Secret.SecretName + "/" + v.Secret.Items[0].Key
		}
		return v.Secret.SecretName
	}
	all := map[string]bool{}
	for _, s := range v.Projected.Sources {
		all[s.Secret.Name] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), ",")
}
