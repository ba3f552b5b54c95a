package migrate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oidc-injector/oidc-injector/internal/cli/migrate"
)

var options = migrate.Options{
	Defaults: migrate.Defaults{VaultAudience: "vault"},
	Key:      func(name string) string { return "oidc-injector.io/" + name },
	Check: func(all map[string]string) []string {
		if all["aws-role-arn"] == "app" {
			return []string{"no ARN"}
		}
		return nil
	},
}

func account(pairs ...string) []migrate.Account {
	return []migrate.Account{{Namespace: "shop", Name: "app", Metadata: migrate.Metadata{Annotations: pairsOf(pairs)}}}
}

func pod(pairs ...string) migrate.Pod {
	return migrate.Pod{Namespace: "shop", Account: "app", Metadata: migrate.Metadata{Annotations: pairsOf(pairs)}}
}

func labelled(p migrate.Pod, pairs ...string) migrate.Pod {
	p.Labels = pairsOf(pairs)
	return p
}

func pairsOf(pairs []string) map[string]string {
	all := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	return all
}

const (
	awsRole  = "eks.amazonaws.com/role-arn"
	azureUse = "azure.workload.identity/use"
	client   = "azure.workload.identity/client-id"
	tenant   = "azure.workload.identity/tenant-id"
	gcpName  = "cloud.google.com/workload-identity-provider"
	gcpEmail = "cloud.google.com/service-account-email"
	agent    = "vault.hashicorp.com/agent-inject"
	token    = "vault.hashicorp.com/agent-inject-token"
	role     = "vault.hashicorp.com/role"
	address  = "vault.hashicorp.com/service"
)

// TestWhatStays has each reason why nothing is moved: neither pod nor ServiceAccount is
// changed then, as half of a move would take tokens away.
func TestWhatStays(t *testing.T) {
	t.Parallel()
	vaultPod := func(pairs ...string) migrate.Pod {
		return pod(append([]string{agent, "true", token, "true", role, "demo", address, "https://v"}, pairs...)...)
	}
	azurePod := func(pairs ...string) migrate.Pod { return labelled(pod(pairs...), azureUse, "true") }
	azureAccount := account(client, "c", tenant, "t")
	for name, tt := range map[string]struct {
		accounts []migrate.Account
		pod      migrate.Pod
		// want is the field and the beginning of the reason of each finding about the pod.
		want []string
	}{
		"AWS: an endpoint": {
			account(awsRole, "arn", "eks.amazonaws.com/endpoint-url", "https://x"), pod(),
			[]string{"eks.amazonaws.com/endpoint-url: there is no"},
		},
		"AWS: no ARN": {account(awsRole, "app"), pod(), []string{": no ARN"}},
		"AWS: no ServiceAccount": {
			nil, pod("eks.amazonaws.com/skip-containers", "x"),
			[]string{`eks.amazonaws.com/skip-containers: ServiceAccount "app" is not`},
		},
		"AWS: ours is there": {
			account(awsRole, "arn"), pod("oidc-injector.io/aws-role-arn", "arn2"),
			[]string{`oidc-injector.io/aws-role-arn: the pod says "arn2"`},
		},
		"Azure: no ServiceAccount": {nil, azurePod(), []string{azureUse + `: ServiceAccount "app"`}},
		"Azure: no client ID":      {account(tenant, "t"), azurePod(), []string{azureUse + `: ServiceAccount "app" has no`}},
		"Azure: no tenant":         {account(client, "c"), azurePod(), []string{client + ": there is no"}},
		"Azure: too short": {
			azureAccount, azurePod("azure.workload.identity/service-account-token-expiration", "60"),
			[]string{"azure.workload.identity/service-account-token-expiration: the peer refuses"},
		},
		"Azure: a proxy": {
			azureAccount, azurePod("azure.workload.identity/inject-proxy-sidecar", "false"),
			[]string{"azure.workload.identity/inject-proxy-sidecar: there is no proxy"},
		},
		"Azure: another endpoint": {
			azureAccount, azurePod("azure.workload.identity/use-identity-binding", "true"),
			[]string{"azure.workload.identity/use-identity-binding: there is no"},
		},
		"GCP: no address": {account(gcpName, "p"), pod(), []string{gcpName + ": the peer refuses one"}},
		"GCP: no number": {
			account(gcpName, "p", gcpEmail, "e"), pod("cloud.google.com/token-expiration", "1h"),
			[]string{"cloud.google.com/token-expiration: the peer refuses"},
		},
		"GCP: unknown modes": {
			account(gcpName, "p", gcpEmail, "e", "cloud.google.com/injection-mode", "x",
				"cloud.google.com/token-exchange-mode", "y"), pod(),
			[]string{"cloud.google.com/token-exchange-mode: the peer does not", "cloud.google.com/injection-mode: the peer does not"},
		},
		"Vault: secrets": {
			nil, vaultPod(agent+"-secret-db", "db", agent+"-template-db", "{{ }}"),
			[]string{agent + "-secret-db: there is nothing", agent + "-template-db: there is nothing"},
		},
		"Vault: nothing for containers": {nil, pod(agent, "true", role, "demo", address, "https://v"), []string{agent + ": without"}},
		"Vault: no address": {
			nil, pod(agent, "true", token, "true", role, "demo"), []string{agent + ": there is no " + address},
		},
		"Vault: no role": {
			nil, pod(agent, "true", token, "true", address, "https://v"), []string{agent + ": there is no " + role},
		},
		"Vault: another method": {
			nil, vaultPod("vault.hashicorp.com/auth-type", "approle", "vault.hashicorp.com/auth-config-secret", "x"),
			[]string{"vault.hashicorp.com/auth-config-secret: the login", "vault.hashicorp.com/auth-type: the login"},
		},
		"Vault: a file of the agent": {
			nil, vaultPod("vault.hashicorp.com/ca-cert", "/etc/ca.crt"), []string{"vault.hashicorp.com/ca-cert: "},
		},
		"Vault: names in the Secret": {
			nil,
			vaultPod("vault.hashicorp.com/tls-secret", "s", "vault.hashicorp.com/client-cert", "/vault/tls/a",
				"vault.hashicorp.com/client-key", "/vault/tls/b"),
			[]string{"vault.hashicorp.com/client-cert: the certificate"},
		},
		"Vault: the agent itself": {
			nil, vaultPod("vault.hashicorp.com/tls-skip-verify", "true", "vault.hashicorp.com/agent-cache-enable", "true",
				"vault.hashicorp.com/agent-configmap", "c", "vault.hashicorp.com/proxy-address", "p"),
			[]string{
				"vault.hashicorp.com/agent-configmap: ", "vault.hashicorp.com/proxy-address: ",
				"vault.hashicorp.com/tls-skip-verify: ", "vault.hashicorp.com/agent-cache-enable: ",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ofAccounts, ofPods := migrate.Plan(tt.accounts, []migrate.Pod{tt.pod}, options)
			for _, o := range slices.Concat(ofAccounts, ofPods) {
				if diff := cmp.Diff(migrate.Edit{}, o.Edit); diff != "" {
					t.Errorf("something is changed (-want +got):\n%s", diff)
				}
			}
			var got []string
			for i, f := range ofPods[0].Findings {
				if f.Kind != migrate.Stays {
					t.Errorf("%s: %s", f.Kind, f.Reason)
				}
				text := f.Field + ": " + f.Reason
				if i < len(tt.want) && strings.HasPrefix(text, tt.want[i]) {
					text = tt.want[i]
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAccountsWait has a ServiceAccount keep what it says until all of its pods are moved.
func TestAccountsWait(t *testing.T) {
	t.Parallel()
	accounts := account(awsRole, "arn", "team", "shop")
	for name, tt := range map[string]struct {
		pods    []migrate.Pod
		removed []string
	}{
		"no pod":         {nil, nil},
		"another's pod":  {[]migrate.Pod{{Namespace: "other", Account: "app"}}, nil},
		"all are moved":  {[]migrate.Pod{pod(), pod()}, []string{awsRole}},
		"one is not":     {[]migrate.Pod{pod(), pod("oidc-injector.io/aws-role-arn", "x")}, nil},
		"ours are there": {[]migrate.Pod{pod("oidc-injector.io/aws-role-arn", "arn")}, []string{awsRole}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ofAccounts, _ := migrate.Plan(accounts, tt.pods, options)
			if diff := cmp.Diff(tt.removed, ofAccounts[0].Edit.Annotations); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			stays := slices.ContainsFunc(ofAccounts[0].Findings, func(f migrate.PeerFinding) bool { return f.Kind == migrate.Stays })
			if stays == (tt.removed != nil) {
				t.Errorf("findings: %v", ofAccounts[0].Findings)
			}
		})
	}
}

// TestOtherAnnotationsStay has those that only look like a peer's stay.
func TestOtherAnnotationsStay(t *testing.T) {
	t.Parallel()
	p := pod("cloud.google.com/neg", "x", "eks.amazonaws.com/compute-type", "fargate", "vault.hashicorp.com.example/agent-inject", "true")
	_, ofPods := migrate.Plan(account("cloud.google.com/gke", "x", "eks.amazonaws.com/nodegroup", "y"), []migrate.Pod{p}, options)
	if diff := cmp.Diff(migrate.Outcome{}, ofPods[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSelectedLabel has the label of azure-workload-identity stay where the workload would
// not find its pods without it.
func TestSelectedLabel(t *testing.T) {
	t.Parallel()
	p := labelled(pod(), azureUse, "true", "app", "web")
	p.Selector = map[string]string{azureUse: "true"}
	_, ofPods := migrate.Plan(account(client, "c", tenant, "t"), []migrate.Pod{p}, options)
	got := ofPods[0]
	if len(got.Edit.Labels) > 0 || len(got.Edit.Add) == 0 || len(got.Findings) != 1 || got.Findings[0].Kind != migrate.ToDo {
		t.Errorf("%+v", got)
	}
}

// TestBindingNames has bindings be named as the configuration takes it, each by another name.
func TestBindingNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 60)
	var accounts []migrate.Account
	for _, name := range []string{"a.b", "a-b", long + "1", long + "2", strings.Repeat("b", 48) + "-" + long} {
		a := account(awsRole, "arn")[0]
		a.Namespace, a.Name = "n", name
		accounts = append(accounts, a)
	}
	made, _, _ := migrate.Bindings(accounts, nil, options)
	var got []string
	for _, b := range made {
		got = append(got, b.Name)
	}
	want := []string{
		"aws-n-a-b", "aws-n-a-b-2", "aws-n-" + long[:49], "aws-n-" + long[:47] + "-2", "aws-n-" + strings.Repeat("b", 48),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}
