package chart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The objects that most values change.
const (
	deployment    = "Deployment/oidc-injector"
	pod           = deployment + " {.spec.template.spec"
	container     = pod + ".containers[0]"
	hooks         = "MutatingWebhookConfiguration/oidc-injector {.webhooks"
	service       = "Service/oidc-injector"
	monitor       = "ServiceMonitor/oidc-injector"
	rules         = "PrometheusRule/oidc-injector {.spec.groups[0].rules"
	configMapName = "ConfigMap/oidc-injector-config {.metadata.name}"
	configMap     = `ConfigMap/oidc-injector-config {.data.config\.yaml}`
)

// expectations are what is found at paths; see objects.at. A path that is a flag is that
// of the webhook.
type expectations map[string]string

// valuesTable has a row for each value that changes the manifests. The values are those
// of --set.
var valuesTable = map[string]struct {
	set  string
	want expectations
}{
	"image.registry": {
		"image.registry=r.example.com",
		expectations{container + ".image}": "r.example.com/oidc-injector/webhook:v0.1.0"},
	},
	"image.registry with a path": {
		"image.registry=r.example.com:5000/mirror/",
		expectations{container + ".image}": "r.example.com:5000/mirror/oidc-injector/webhook:v0.1.0"},
	},
	"image.repository": {
		"global.imageRegistry=,login.enabled=false,image.repository=r.example.com/other",
		expectations{container + ".image}": "r.example.com/other:v0.1.0"},
	},
	"image.tag": {"image.tag=v2", expectations{
		container + ".image}": "registry.invalid/oidc-injector/webhook:v2",
		configMap:             loginConfig("registry.invalid/oidc-injector/oidc-login:v0.1.0"),
	}},
	"image.digest": {
		"image.digest=" + digest,
		expectations{container + ".image}": "registry.invalid/oidc-injector/webhook@" + digest},
	},
	"image.digest and tag": {
		"image.tag=v2,image.digest=" + digest,
		expectations{container + ".image}": "registry.invalid/oidc-injector/webhook:v2@" + digest},
	},
	"image.pullPolicy": {"image.pullPolicy=Never", expectations{
		container + ".imagePullPolicy}":                                "Never",
		"Pod/oidc-injector-test {.spec.containers[0].imagePullPolicy}": "Never",
	}},
	"global.imageRegistry": {"global.imageRegistry=r.example.com", expectations{
		container + ".image}": "r.example.com/oidc-injector/webhook:v0.1.0",
		configMap:             loginConfig("r.example.com/oidc-injector/oidc-login:v0.1.0"),
	}},
	"image.registry beside the global one": {"global.imageRegistry=r.example.com,image.registry=s.example.com", expectations{
		container + ".image}": "s.example.com/oidc-injector/webhook:v0.1.0",
		configMap:             loginConfig("r.example.com/oidc-injector/oidc-login:v0.1.0"),
	}},
	"imagePullSecrets": {"imagePullSecrets[0].name=a,global.imagePullSecrets[0].name=b,global.imagePullSecrets[1].name=a", expectations{
		pod + ".imagePullSecrets}": `[{"name":"a"},{"name":"b"}]`, "Pod/oidc-injector-test {.spec.imagePullSecrets[*].name}": "a b",
	}},
	"login.enabled": {"login.enabled=false", expectations{configMap: configHead}},
	"login.image": {
		"login.image.registry=r.example.com,login.image.digest=" + digest,
		expectations{configMap: loginConfig("r.example.com/oidc-injector/oidc-login@" + digest)},
	},
	"login.image.repository": {
		"login.image.repository=other/oidc-login",
		expectations{configMap: loginConfig("registry.invalid/other/oidc-login:v0.1.0")},
	},
	"nameOverride": {"nameOverride=injector", expectations{
		deployment + ` {.spec.selector.matchLabels.app\.kubernetes\.io/name}`: "injector",
	}},
	"fullnameOverride": {"fullnameOverride=injector", expectations{
		"Deployment/injector": "true", "MutatingWebhookConfiguration/injector {.webhooks[*].clientConfig.service.name}": "injector " +
			"injector injector",
		"Secret/injector-ca": "true", "Role/injector {.rules[*].resourceNames}": `["injector-ca"]`,
		"ClusterRole/injector {.rules[*].resourceNames}": `["injector"]`,
	}},
	"global.imagePullSecrets by name": {"global.imagePullSecrets={a,b}", expectations{pod + ".imagePullSecrets[*].name}": "a b"}},
	"podLabels beside commonLabels": {
		"commonLabels.a=b,podLabels.a=c",
		expectations{deployment + " {.spec.template.metadata.labels.a}": "c", deployment + " {.metadata.labels.a}": "b"},
	},
	"commonLabels": {"commonLabels.team=identity", expectations{
		deployment + " {.metadata.labels.team}": "identity", deployment + " {.spec.template.metadata.labels.team}": "identity",
		deployment + " {.spec.selector.matchLabels.team}": "", service + " {.spec.selector.team}": "",
		"MutatingWebhookConfiguration/oidc-injector {.metadata.labels.team}": "identity",
	}},
	"annotationPrefix": {"annotationPrefix=tokens.example.com,metrics.prometheusRule.enabled=true", expectations{
		hooks + "[*].name}": "pods.tokens.example.com debugcontainers.tokens.example.com workloads.tokens.example.com",
		rules + "[1].expr}": `sum by (name) (rate(apiserver_admission_webhook_rejection_count` +
			`{name=~"(pods|debugcontainers)\\.tokens\\.example\\.com",error_type!="no_error"}[5m])) > 0`,
		rules + "[2].expr}": `sum((apiserver_admission_webhook_fail_open_count{name="pods.tokens.example.com"} unless ` +
			`apiserver_admission_webhook_fail_open_count{name="pods.tokens.example.com"} offset 10m) or ` +
			`increase(apiserver_admission_webhook_fail_open_count{name="pods.tokens.example.com"}[10m])) > 0`,
		hooks + "[0].matchConditions[0].expression}": `has(object.metadata.annotations) && ` +
			`object.metadata.annotations.exists(key, key.startsWith("tokens.example.com/"))`,
		hooks + `[0].namespaceSelector.matchLabels}`:           `{"tokens.example.com/enabled":"true"}`,
		"--annotation-prefix":                                  "tokens.example.com",
		"Pod/oidc-injector-test {.spec.containers[0].args[2]}": "--annotation-prefix=tokens.example.com",
	}},
	"config.policy": {"login.enabled=false,config.policy.env.allowed={KUBECONFIG,*},config.policy.mountPaths.denied={/run/systemd}," +
		"config.policy.namespaces[0].namespaces={ci},config.policy.namespaces[0].mountPaths.allowed={/ci}", expectations{
		configMap: configHead + "policy:\n  env:\n    allowed:\n    - KUBECONFIG\n    - '*'\n  mountPaths:\n    denied:\n    - " +
			"/run/systemd\n" +
			"  namespaces:\n  - mountPaths:\n      allowed:\n      - /ci\n    namespaces:\n    - ci\n",
	}},
	"config.policy.loginAddresses": {"login.enabled=false,config.policy.loginAddresses.denied={http://*}," +
		"config.policy.loginSecrets.allowed={vault-*},config.policy.loginSecrets.denied={vault-root}", expectations{
		configMap: configHead + "policy:\n  loginAddresses:\n    denied:\n    - http://*\n  loginSecrets:\n    allowed:\n    - " +
			"vault-*\n    denied:\n    - vault-root\n",
	}},
	"config.providers": {"login.enabled=false,config.providers.corp.audience=x,config.providers.corp.description=x," +
		"config.profiles.p.corp-tenant=acme", expectations{
		configMap: configHead + "profiles:\n  p:\n    corp-tenant: acme\nproviders:\n  corp:\n    audience: x\n    description: x\n",
	}},
	"config.setTokenUser": {"login.enabled=false,config.setTokenUser=true", expectations{configMap: configHead + "setTokenUser: true\n"}},
	"config.policy.unknownAnnotations": {"login.enabled=false,config.policy.unknownAnnotations=Deny", expectations{
		configMap: configHead + "policy:\n  unknownAnnotations: Deny\n",
	}},
	"config.policy.workloads": {"login.enabled=false,config.policy.workloads=Deny", expectations{
		configMap:                                configHead + "policy:\n  workloads: Deny\n",
		hooks + "[2].name}":                      "workloads.oidc-injector.io",
		hooks + "[2].failurePolicy}":             "Ignore",
		hooks + "[2].clientConfig.service.path}": "/check-workload",
	}},
	// What YAML 1.1 makes of an Off without quotes.
	"config.policy.workloads=Off": {"login.enabled=false,config.policy.workloads=false", expectations{
		configMap:           configHead + "policy:\n  workloads: \"Off\"\n",
		hooks + "[*].name}": "pods.oidc-injector.io debugcontainers.oidc-injector.io",
	}},
	"config.podTemplates": {"login.enabled=false,config.podTemplates[0].apiGroup=argoproj.io,config.podTemplates[0].resource=rollouts," +
		"config.podTemplates[0].path=spec.template", expectations{
		configMap: "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\npodTemplates:\n- " +
			"apiGroup: argoproj.io\n  path: spec.template\n  resource: rollouts\n",
		hooks + "[2].rules[2].resources}": `["rollouts"]`,
	}},
	"config.injectedContainers": {"login.enabled=false,config.injectedContainers={istio-*}", expectations{
		configMap: "apiVersion: config.oidc-injector.io/v1alpha1\ninjectedContainers:\n- istio-*\nkind: InjectorConfig\n",
	}},
	"configCheck.enabled": {"configCheck.enabled=false", expectations{"Job/oidc-injector-config-check": "false"}},
	"the configuration is checked": {"login.enabled=false,config.maxExpiration=12h", expectations{
		`Job/oidc-injector-config-check {.spec.template.metadata.annotations.config\.yaml}`: configHead + "maxExpiration: 12h",
		configMap: configHead + "maxExpiration: 12h\n", configMapName: "oidc-injector-config-4db8e2f12b",
		deployment + ` {.spec.template.spec.volumes[?(@.name=="config")].configMap.name}`: "oidc-injector-config-4db8e2f12b",
	}},

	"certificates.managed.secretName": {"certificates.managed.secretName=own", expectations{
		"Secret/own": "true", "Secret/oidc-injector-ca": "false", "--ca-secret-name": "own",
		"Role/oidc-injector {.rules[*].resourceNames}": `["own"]`,
	}},
	"certificates.managed durations": {"certificates.managed.caDuration=48h,certificates.managed.certificateDuration=2h", expectations{
		"--ca-duration": "48h", "--certificate-duration": "2h",
	}},
	"certificates.managed declares nothing": {"", expectations{
		"Secret/oidc-injector-ca {.data}": "", "Secret/oidc-injector-ca {.stringData}": "", hooks + "[*].clientConfig.caBundle}": "",
	}},
	"certificates.mode cert-manager": {"certificates.mode=cert-manager", expectations{
		`MutatingWebhookConfiguration/oidc-injector {.metadata.annotations.cert-manager\.io/inject-ca-from}`: "oidc-injector/oidc-injector",

		"Certificate/oidc-injector {.spec.dnsNames[0]}":       "oidc-injector.oidc-injector.svc",
		"Certificate/oidc-injector {.spec.secretName}":        "oidc-injector-tls",
		"Certificate/oidc-injector {.spec.issuerRef.name}":    "oidc-injector-ca",
		"Issuer/oidc-injector-ca {.spec.ca.secretName}":       "oidc-injector-ca-tls",
		"Certificate/oidc-injector-ca {.spec.issuerRef.name}": "oidc-injector-selfsigned",
		pod + ".volumes[1].secret.secretName}":                "oidc-injector-tls",
		"--certificates":                                      "files",
		"Secret/oidc-injector-ca":                             "false",
		"Role/oidc-injector":                                  "false",
		hooks + "[*].clientConfig.caBundle}":                  "",
	}},
	"certificates.certManager.issuerRef": {"certificates.mode=cert-manager,certificates.certManager.issuerRef.name=own", expectations{
		"Certificate/oidc-injector {.spec.issuerRef}": `{"name":"own"}`, "Certificate/oidc-injector-ca": "false",
		"Issuer/oidc-injector-ca": "false", "Issuer/oidc-injector-selfsigned": "false",
	}},
	"certificates.certManager durations": {"certificates.mode=cert-manager,certificates.certManager.duration=2h," +
		"certificates.certManager.renewBefore=1h,certificates.certManager.caDuration=3h", expectations{
		"Certificate/oidc-injector {.spec.duration} {.spec.renewBefore}": "2h 1h", "Certificate/oidc-injector-ca {.spec.duration}": "3h",
	}},
	"certificates.mode secret": {"certificates.mode=secret,certificates.secret.name=own,certificates.secret.caBundle=-----BEGIN " +
		"CERTIFICATE-----", expectations{
		hooks + "[*].clientConfig.caBundle}": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t " +
			"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t",
		pod + ".volumes[1].secret.secretName}":        "own",
		"Secret/oidc-injector-ca":                     "false",
		"ClusterRole/oidc-injector {.rules[*].verbs}": `["get","watch"]`,
		"--webhook-configuration-name":                "oidc-injector",
		pod + ".automountServiceAccountToken}":        "true",
	}},
	"certificates.selfProbe": {"certificates.selfProbe=false,certificates.mode=cert-manager", expectations{
		"ClusterRole/oidc-injector": "false", "ClusterRoleBinding/oidc-injector": "false", pod + ".automountServiceAccountToken}": "false",
		"--webhook-configuration-name": "",
	}},
	"certificates.selfProbe in managed mode": {
		"certificates.selfProbe=false",
		expectations{"ClusterRole/oidc-injector": "true", pod + ".automountServiceAccountToken}": "true"},
	},

	"webhook.failurePolicy":  {"webhook.failurePolicy=Ignore", expectations{hooks + "[*].failurePolicy}": "Ignore Ignore Ignore"}},
	"webhook.timeoutSeconds": {"webhook.timeoutSeconds=9", expectations{hooks + "[*].timeoutSeconds}": "9 9 9"}},
	"webhook.reinvocationPolicy": {
		"webhook.reinvocationPolicy=Never",
		expectations{hooks + "[*].reinvocationPolicy}": "Never Never Never"},
	},
	"webhook.namespaces.mode": {"webhook.namespaces.mode=OptOut", expectations{
		hooks + "[0].namespaceSelector.matchLabels}": "",
		hooks + "[1].namespaceSelector.matchExpressions[1]}": `{"key":"oidc-injector.io/enabled",` +
			`"operator":"NotIn","values":["false"]}`,
		"Namespace/oidc-injector-test-25237bd6 {.metadata.labels.oidc-injector\\.io/enabled}": "",
	}},
	"webhook.namespaces.label": {"webhook.namespaces.label=example.com/tokens", expectations{
		hooks + "[0].namespaceSelector.matchLabels}":                                    `{"example.com/tokens":"true"}`,
		"Namespace/oidc-injector-test-25237bd6 {.metadata.labels.example\\.com/tokens}": "true",
	}},
	"webhook.namespaces.exclude": {"webhook.namespaces.exclude={istio-system,oidc-injector}", expectations{
		hooks + "[0].namespaceSelector.matchExpressions[0].values}": `["istio-system","kube-node-lease","kube-public","kube-system",` +
			`"oidc-injector"]`,
	}},
	"webhook.objectSelector": {
		"webhook.objectSelector.matchLabels.a=b",
		expectations{hooks + "[*].objectSelector}": `{"matchLabels":{"a":"b"}} {"matchLabels":{"a":"b"}} {}`},
	},
	"webhook.matchConditions": {
		"webhook.matchConditions[0].name=n,webhook.matchConditions[0].expression=1==1",
		expectations{hooks + "[0].matchConditions[1]}": `{"expression":"1==1","name":"n"}`},
	},
	"webhook.debugContainers.enabled": {"webhook.debugContainers.enabled=false", expectations{
		hooks + "[*].name}": "pods.oidc-injector.io workloads.oidc-injector.io",
	}},
	"webhook.debugContainers.failurePolicy": {
		"webhook.debugContainers.failurePolicy=Fail",
		expectations{hooks + "[*].failurePolicy}": "Fail Fail Ignore"},
	},
	"webhook.clientCertificates": {"webhook.clientCertificates.configMapName=ca,webhook.clientCertificates.key=k.crt," +
		"webhook.clientCertificates.allowedNames={a,b}", expectations{
		"--client-ca-file": "/etc/oidc-injector-client-ca/k.crt", "--client-allowed-names": "a,b",
		pod + ".volumes[1].configMap.name}": "ca",
	}},
	"webhook.callerTokens": {
		"webhook.callerTokens=true,service.port=8443",
		expectations{"--caller-token-audience": "https://oidc-injector.oidc-injector.svc:8443"},
	},
	"webhook.callerTokens without a probe": {
		"webhook.callerTokens=true,certificates.mode=cert-manager,certificates.selfProbe=false",
		expectations{
			"--webhook-configuration-name": "oidc-injector", pod + ".automountServiceAccountToken}": "true",
		},
	},
	"webhook.annotations": {"webhook.annotations.a=b", expectations{"MutatingWebhookConfiguration/oidc-injector " +
		"{.metadata.annotations}": `{"a":"b"}`}},

	"replicas": {"replicas=5", expectations{deployment + " {.spec.replicas}": "5"}},
	"updateStrategy": {
		"updateStrategy.type=Recreate",
		expectations{deployment + " {.spec.strategy}": `{"type":"Recreate"}`},
	},
	"revisionHistoryLimit":        {"revisionHistoryLimit=9", expectations{deployment + " {.spec.revisionHistoryLimit}": "9"}},
	"podDisruptionBudget.enabled": {"podDisruptionBudget.enabled=false", expectations{"PodDisruptionBudget/oidc-injector": "false"}},
	"podDisruptionBudget.maxUnavailable": {
		"podDisruptionBudget.maxUnavailable=50%",
		expectations{"PodDisruptionBudget/oidc-injector {.spec.maxUnavailable}": "50%"},
	},
	"podDisruptionBudget.minAvailable": {
		"replicas=3,podDisruptionBudget.minAvailable=2",
		expectations{"PodDisruptionBudget/oidc-injector {.spec.minAvailable}{.spec.maxUnavailable}": "2"},
	},
	"replicas of somebody else": {"replicas=null", expectations{deployment + " {.spec.replicas}": ""}},
	"commonAnnotations": {"commonAnnotations.a=b,service.annotations.a=c,metrics.enabled=false", expectations{
		deployment + " {.metadata.annotations.a}": "b", service + " {.metadata.annotations.a}": "c",
		"ClusterRole/oidc-injector {.metadata.annotations.a}":                               "b",
		"MutatingWebhookConfiguration/oidc-injector {.metadata.annotations.a}":              "b",
		"Pod/oidc-injector-test {.metadata.annotations.a}":                                  "b",
		"Job/oidc-injector-config-check {.metadata.annotations.a}":                          "b",
		"ConfigMap/oidc-injector-config {.metadata.annotations.a}":                          "b",
		"Secret/oidc-injector-ca {.metadata.annotations.a}":                                 "b",
		"ValidatingAdmissionPolicy/oidc-injector-namespace-label {.metadata.annotations.a}": "b",
	}},
	"commonAnnotations beside own ones": {`commonAnnotations.helm\.sh/hook=post-delete,` +
		`commonAnnotations.argocd\.argoproj\.io/sync-options=Prune=false`, expectations{
		`Job/oidc-injector-config-check {.metadata.annotations.helm\.sh/hook}`:                     "pre-install,pre-upgrade",
		`Pod/oidc-injector-test {.metadata.annotations.helm\.sh/hook}`:                             "test",
		`ConfigMap/oidc-injector-config {.metadata.annotations.argocd\.argoproj\.io/sync-options}`: "PruneLast=true",
	}},
	"extraObjects": {`extraObjects[0].apiVersion=v1,extraObjects[0].kind=ConfigMap,extraObjects[0].metadata.name=\{\{ .Release.Name ` +
		`\}\}-extra`, expectations{"ConfigMap/oidc-injector-extra": "true"}},
	"namespaceOverride": {"namespaceOverride=other,metrics.prometheusRule.enabled=true", expectations{
		deployment + " {.metadata.namespace}": "other", hooks + "[*].clientConfig.service.namespace}": "other other other",
		"--namespace": "other",
		"ClusterRoleBinding/oidc-injector {.subjects[0].namespace}": "other", rules + "[0].labels.namespace}": "other",
		rules + "[0].expr}": `absent(oidc_injector_build_info{namespace="other",job="oidc-injector-metrics"})`,
		hooks + "[0].namespaceSelector.matchExpressions[0].values}": `["kube-node-lease","kube-public","kube-system","other"]`,
	}},
	"service.ipFamilyPolicy": {"service.ipFamilyPolicy=RequireDualStack,service.ipFamilies={IPv6,IPv4}", expectations{
		service + " {.spec.ipFamilyPolicy}": "RequireDualStack", service + " {.spec.ipFamilies}": `["IPv6","IPv4"]`,
		"Service/oidc-injector-metrics {.spec.ipFamilies[0]}": "IPv6",
	}},
	"runtimeClassName": {"runtimeClassName=gvisor,hostUsers=false", expectations{
		deployment + " {.spec.template.spec.runtimeClassName}": "gvisor", deployment + " {.spec.template.spec.hostUsers}": "false",
	}},
	"no runtimeClassName": {"", expectations{deployment + " {.spec.template.spec.runtimeClassName}{.spec.template.spec.hostUsers}": ""}},
	"probes": {"startupProbe.failureThreshold=7,readinessProbe.periodSeconds=8,livenessProbe.timeoutSeconds=9", expectations{
		deployment + " {.spec.template.spec.containers[0].startupProbe.failureThreshold}": "7",
		deployment + " {.spec.template.spec.containers[0].startupProbe.periodSeconds}":    "1",
		deployment + " {.spec.template.spec.containers[0].readinessProbe.periodSeconds}":  "8",
		deployment + " {.spec.template.spec.containers[0].readinessProbe.httpGet.path}":   "/readyz",
		deployment + " {.spec.template.spec.containers[0].livenessProbe.timeoutSeconds}":  "9",
	}},
	"priorityClassName": {
		"priorityClassName=mine",
		expectations{pod + ".priorityClassName}": "mine", "ResourceQuota/oidc-injector-critical-pods": "false"},
	},
	"resourceQuota.enabled": {"resourceQuota.enabled=false", expectations{"ResourceQuota/oidc-injector-critical-pods": "false"}},
	"resourceQuota.pods":    {"resourceQuota.pods=7", expectations{"ResourceQuota/oidc-injector-critical-pods {.spec.hard.pods}": "7"}},
	"topologySpreadConstraints": {"topologySpreadConstraints[0].topologyKey=rack," +
		"topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule", expectations{
		pod + ".topologySpreadConstraints[*].topologyKey}":       "rack",
		pod + ".topologySpreadConstraints[0].whenUnsatisfiable}": "DoNotSchedule",
		pod + ".topologySpreadConstraints[0].matchLabelKeys}":    `["pod-template-hash"]`,
	}},
	"topologySpreadConstraints with a selector": {"topologySpreadConstraints[0].topologyKey=rack," +
		"topologySpreadConstraints[0].labelSelector.matchLabels.a=b", expectations{
		pod + ".topologySpreadConstraints[0].labelSelector.matchLabels}": `{"a":"b"}`,
	}},
	"nodeSelector": {"nodeSelector.disk=fast", expectations{pod + ".nodeSelector}": `{"disk":"fast","kubernetes.io/os":"linux"}`}},
	"affinity": {
		"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=a," +
			"affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
		expectations{
			pod + ".affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution." +
				"nodeSelectorTerms[0].matchExpressions[0].key}": "a",
		},
	},
	"tolerations": {
		"tolerations[0].operator=Exists",
		expectations{
			pod + ".tolerations}":                        `[{"operator":"Exists"}]`,
			"Pod/oidc-injector-test {.spec.tolerations}": `[{"operator":"Exists"}]`,
		},
	},
	"hostNetwork": {"hostNetwork=true", expectations{
		pod + ".hostNetwork}": "true", pod + ".dnsPolicy}": "ClusterFirstWithHostNet",
		deployment + " {.spec.strategy.rollingUpdate}": `{"maxSurge":0,"maxUnavailable":1}`,
	}},
	"dnsPolicy": {"dnsPolicy=Default", expectations{pod + ".dnsPolicy}": "Default"}},
	"ports": {"ports.webhook=1,ports.metrics=2,ports.probes=3", expectations{
		container + ".ports[*].containerPort}": "1 2 3", "--port": "1", "--metrics-bind-address": ":2",
		"--health-probe-bind-address": ":3", "Service/oidc-injector-metrics {.spec.ports[0].port}": "2",
		service + " {.spec.ports[0].port}": "443",
	}},
	"shutdownDelay":                 {"shutdownDelay=9s", expectations{"--shutdown-delay-duration": "9s"}},
	"terminationGracePeriodSeconds": {"terminationGracePeriodSeconds=99", expectations{pod + ".terminationGracePeriodSeconds}": "99"}},
	"resources": {
		"resources.requests.cpu=1,resources.limits=null",
		expectations{container + ".resources}": `{"requests":{"cpu":1,"memory":"32Mi"}}`},
	},
	"podSecurityContext": {
		"podSecurityContext.runAsUser=1000",
		expectations{pod + ".securityContext}": `{"runAsNonRoot":true,"runAsUser":1000,"seccompProfile":{"type":"RuntimeDefault"}}`},
	},
	"securityContext": {"securityContext.runAsUser=1000", expectations{container + ".securityContext.runAsUser}": "1000"}},
	"podLabels": {"podLabels.a=b", expectations{
		deployment + " {.spec.template.metadata.labels.a}": "b",
		deployment + " {.metadata.labels.a}":               "",
	}},
	"podAnnotations":        {"podAnnotations.a=b", expectations{deployment + " {.spec.template.metadata.annotations}": `{"a":"b"}`}},
	"deploymentAnnotations": {"deploymentAnnotations.a=b", expectations{deployment + " {.metadata.annotations}": `{"a":"b"}`}},
	"log":                   {"log.level=debug,log.format=text", expectations{"--log-level": "debug", "--log-format": "text"}},
	"tlsMinVersion":         {"tlsMinVersion=VersionTLS12", expectations{"--tls-min-version": "VersionTLS12"}},
	"extraArgs":             {"extraArgs={--enable-http2}", expectations{"--enable-http2": "true"}},
	"env":                   {"env[0].name=A,env[0].value=b", expectations{container + ".env}": `[{"name":"A","value":"b"}]`}},
	"extraVolumes": {"extraVolumes[0].name=x,extraVolumes[0].configMap.name=y,extraVolumeMounts[0].name=x," +
		"extraVolumeMounts[0].mountPath=/x", expectations{
		pod + ".volumes[1]}": `{"configMap":{"name":"y"},"name":"x"}`, container + ".volumeMounts[1]}": `{"mountPath":"/x","name":"x"}`,
	}},
	"service.port": {"service.port=8443", expectations{
		service + " {.spec.ports[0].port}":       "8443",
		hooks + "[*].clientConfig.service.port}": "8443 8443 8443",
	}},
	"service.annotations": {"service.annotations.a=b", expectations{service + " {.metadata.annotations}": `{"a":"b"}`}},
	"serviceAccount.create": {"serviceAccount.create=false,serviceAccount.name=own", expectations{
		"ServiceAccount/oidc-injector": "false", pod + ".serviceAccountName}": "own",
		"RoleBinding/oidc-injector {.subjects[*].name}": "own", "ClusterRoleBinding/oidc-injector {.subjects[*].name}": "own",
	}},
	"serviceAccount.name": {
		"serviceAccount.name=own",
		expectations{"ServiceAccount/own": "true", pod + ".serviceAccountName}": "own"},
	},
	"serviceAccount.annotations": {
		"serviceAccount.annotations.a=b",
		expectations{"ServiceAccount/oidc-injector {.metadata.annotations}": `{"a":"b"}`},
	},
	"rbac.create": {"rbac.create=false", expectations{
		"Role/oidc-injector": "false", "RoleBinding/oidc-injector": "false", "ClusterRole/oidc-injector": "false",
		"ClusterRoleBinding/oidc-injector": "false", "ServiceAccount/oidc-injector": "true",
		"Role/oidc-injector-test": "false", "RoleBinding/oidc-injector-test": "false",
	}},
	"networkPolicy.enabled": {"networkPolicy.enabled=true", expectations{
		"NetworkPolicy/oidc-injector {.spec.ingress[0].from}":         "",
		"NetworkPolicy/oidc-injector {.spec.ingress[1].from}":         `[{"namespaceSelector":{}}]`,
		"NetworkPolicy/oidc-injector {.spec.egress[0].ports[*].port}": "443 6443",
	}},
	"networkPolicy.apiServerPorts": {"networkPolicy.enabled=true,networkPolicy.apiServerPorts={16443}", expectations{
		"NetworkPolicy/oidc-injector {.spec.egress[0].ports[*].port}": "16443",
	}},
	"networkPolicy without the API": {
		"networkPolicy.enabled=true,certificates.selfProbe=false,certificates.mode=cert-manager",
		expectations{
			"NetworkPolicy/oidc-injector {.spec.policyTypes} {.spec.egress}": `["Ingress","Egress"] []`,
		},
	},
	"metrics.enabled": {"metrics.enabled=false", expectations{"Service/oidc-injector-metrics": "false"}},
	"metrics.serviceMonitor.enabled": {
		"metrics.serviceMonitor.enabled=true",
		expectations{monitor + " {.spec.endpoints}": `[{"path":"/metrics","port":"metrics"}]`},
	},
	"metrics.serviceMonitor.metricRelabelings": {
		"metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.metricRelabelings[0].action=labeldrop",
		expectations{monitor + " {.spec.endpoints[0].metricRelabelings}": `[{"action":"labeldrop"}]`},
	},
	"login.metrics": {"login.metrics.port=9102,login.metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true", expectations{
		configMap: configHead + "login:\n  env:\n    OIDC_LOGIN_LISTEN_ADDRESS: :9102\n    OIDC_LOGIN_LOG_FORMAT: json\n" +
			"  image: registry.invalid/oidc-injector/oidc-login:v0.1.0\n  imagePullPolicy: IfNotPresent\n",
		"PodMonitor/oidc-injector-logins {.spec.podMetricsEndpoints[0].port}": "oidc-login",
		rules + "[*].alert}":             allAlerts + " OIDCInjectorLoginsFailing",
		rules + "[12].expr}":             `max by (namespace, class) (oidc_login_last_error{job="oidc-injector/oidc-injector-logins"}) > 0`,
		rules + "[12].labels.namespace}": "",
	}},
	"no login.metrics":               {"", expectations{"PodMonitor/oidc-injector-logins": "false"}},
	"metrics.prometheusRule.enabled": {"metrics.prometheusRule.enabled=true", expectations{rules + "[*].alert}": allAlerts}},
	"metrics.prometheusRule.disabled": {
		"metrics.prometheusRule.enabled=true,metrics.prometheusRule.disabled={OIDCInjectorSlow}",
		expectations{
			rules + "[*].alert}": strings.Replace(allAlerts, "OIDCInjectorSlow ", "", 1),
		},
	},
	"metrics.prometheusRule thresholds": {"metrics.prometheusRule.enabled=true,metrics.prometheusRule.denials=77," +
		"metrics.prometheusRule.deniedNamespaces=66,metrics.prometheusRule.certificateExpirySeconds=88", expectations{
		rules + "[5].expr}": "sum by (resource_namespace, reason) (" + deniedPods + ") >= 77",
		rules + "[6].expr}": "count(sum by (resource_namespace) (" + deniedPods + ") > 0) >= 66",
		rules + "[8].expr}": certificateExpiry("88"),
	}},
	"metrics.prometheusRule with a short renewBefore": {"metrics.prometheusRule.enabled=true,certificates.mode=cert-manager," +
		"certificates.certManager.renewBefore=1h", expectations{
		rules + "[8].alert}": "OIDCInjectorCertificateExpiry", rules + "[8].expr}": certificateExpiry("1800"),
	}},
	"metrics.dashboard.namespace": {
		"metrics.dashboard.enabled=true,metrics.dashboard.namespace=grafana",
		expectations{"ConfigMap/oidc-injector-dashboard {.metadata.namespace}": "grafana"},
	},
	"metrics.dashboard.labels": {
		"metrics.dashboard.enabled=true,metrics.dashboard.labels.a=b",
		expectations{"ConfigMap/oidc-injector-dashboard {.metadata.labels.a}": "b"},
	},
	"metrics.dashboard.enabled": {
		"metrics.dashboard.enabled=true",
		expectations{"ConfigMap/oidc-injector-dashboard {.metadata.labels.grafana_dashboard}": "1"},
	},
	"audit.enabled": {"audit.enabled=true", expectations{
		"--audit": "true", "--audit-lease-name": "oidc-injector-audit", "--namespace": "oidc-injector", "--audit-pod-selector": "",
		"--audit-namespace-selector": "oidc-injector.io/enabled=true,kubernetes.io/metadata.name notin " +
			"(kube-node-lease,kube-public,kube-system,oidc-injector)",
		"Lease/oidc-injector-audit {.spec}": "",
	}},
	"audit.enabled for all but some": {"audit.enabled=true,webhook.namespaces.mode=OptOut," +
		"webhook.objectSelector.matchExpressions[0].key=a,webhook.objectSelector.matchExpressions[0].operator=Exists," +
		"webhook.objectSelector.matchExpressions[1].key=b,webhook.objectSelector.matchExpressions[1].operator=DoesNotExist," +
		"webhook.objectSelector.matchLabels.c=d", expectations{
		"--audit-namespace-selector": "kubernetes.io/metadata.name notin " +
			"(kube-node-lease,kube-public,kube-system,oidc-injector),oidc-injector.io/enabled notin (false)",
		"--audit-pod-selector": "c=d,a,!b",
	}},
	"audit.enabled without the self-probe": {"audit.enabled=true,certificates.selfProbe=false,certificates.mode=cert-manager", expectations{
		"--namespace": "oidc-injector", "--webhook-configuration-name": "", pod + ".automountServiceAccountToken}": "true",
	}},
	"audit.leaseName": {"audit.enabled=true,audit.leaseName=mine", expectations{
		"Lease/mine": "true", "--audit-lease-name": "mine", "Role/oidc-injector {.rules[1].resourceNames}": `["mine"]`,
	}},
	"no audit": {"", expectations{"--audit": "", "Lease/oidc-injector-audit": "false"}},
	"issuerDiscovery.anonymous": {"issuerDiscovery.anonymous=true", expectations{
		"ClusterRoleBinding/oidc-injector-issuer-discovery {.roleRef.name} " +
			"{.subjects[0].name}": "system:service-account-issuer-discovery system:unauthenticated",
	}},
	"policies.unlabelledNamespaces": {
		"policies.unlabelledNamespaces.enabled=true,policies.unlabelledNamespaces.actions={Audit}",
		expectations{
			"ValidatingAdmissionPolicyBinding/oidc-injector-unlabelled-namespaces {.spec.validationActions}": `["Audit"]`,
			"ValidatingAdmissionPolicy/oidc-injector-unlabelled-namespaces " +
				"{.spec.matchConstraints.namespaceSelector.matchExpressions[1].operator}": "NotIn",
		},
	},
	"policies.tokenVolumes": {"policies.tokenVolumes.enabled=true,policies.tokenVolumes.namespaceSelector.matchLabels.a=b", expectations{
		"ValidatingAdmissionPolicyBinding/oidc-injector-token-volumes {.spec.validationActions}":                       `["Deny"]`,
		"ValidatingAdmissionPolicy/oidc-injector-token-volumes {.spec.matchConstraints.namespaceSelector.matchLabels}": `{"a":"b"}`,
	}},
	"policies.tokenVolumes.actions": {"policies.tokenVolumes.enabled=true,policies.tokenVolumes.actions={Warn,Audit}", expectations{
		"ValidatingAdmissionPolicyBinding/oidc-injector-token-volumes {.spec.validationActions}": `["Warn","Audit"]`,
	}},
	"test.enabled": {"test.enabled=false", expectations{"Pod/oidc-injector-test": "false", "ServiceAccount/oidc-injector-test": "false"}},
	"test.namespace": {
		"test.namespace=there",
		expectations{
			"Namespace/oidc-injector-test-25237bd6": "false", "Namespace/there": "false",
			"Pod/oidc-injector-test {.spec.containers[0].args[1]}": "--namespace=there",
			"Role/oidc-injector-test {.metadata.namespace}":        "there",
		},
	},
	"test.podLabels": {
		"test.podLabels.a=b,test.podLabels.c=d",
		expectations{"Pod/oidc-injector-test {.spec.containers[0].args[3]}": "--pod-labels=a=b,c=d"},
	},
	"test.podLabels by the selector": {
		"webhook.objectSelector.matchLabels.a=b",
		expectations{"Pod/oidc-injector-test {.spec.containers[0].args[3]}": "--pod-labels=a=b"},
	},
	"config.bindings": {
		"config.bindings[0].name=b,config.bindings[0].namespaces={shop},config.bindings[0].serviceAccounts={app}," +
			"config.bindings[0].annotations.profile=p,config.profiles.p.audience=x,login.enabled=false,metrics.prometheusRule.enabled=true",
		expectations{
			configMap: strings.Replace(configHead, "\n", "\nbindings:\n- annotations:\n    profile: p\n  name: b\n  namespaces:\n"+
				"  - shop\n  serviceAccounts:\n  - app\n", 1) + "profiles:\n  p:\n    audience: x\n",
			hooks + "[1].matchConditions[0].expression}": `has(object.metadata.annotations) && ` +
				`object.metadata.annotations.exists(key, key.startsWith("oidc-injector.io/")) || ` +
				`(request.namespace + "/" + object.spec.?serviceAccountName.orValue("default")) in ["shop/app"]`,
			rules + "[*].alert}": allAlerts + " OIDCInjectorBindingsNotRegistered",
		},
	},
	"webhook.allPods": {"webhook.allPods=true,webhook.matchConditions[0].name=n,webhook.matchConditions[0].expression=1==1", expectations{
		hooks + "[*].matchConditions[*].name}": "n n annotated not-controlled changed",
	}},
	"webhook.allPods alone": {"webhook.allPods=true,config.policy.workloads=Off", expectations{hooks + "[*].matchConditions}": ""}},
	"test.audience": {"test.audience=mine", expectations{
		"Pod/oidc-injector-test {.spec.containers[0].args[3]}": "--audience=mine",
	}},
	"test.audience by the policy": {"config.policy.audiences.allowed={*.example.com,vault,sts}", expectations{
		"Pod/oidc-injector-test {.spec.containers[0].args[3]}": "--audience=vault",
	}},
}

const (
	digest     = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	configHead = "apiVersion: config.oidc-injector.io/v1alpha1\nkind: InjectorConfig\n"
	allAlerts  = "OIDCInjectorAbsent OIDCInjectorUnreachable OIDCInjectorFailedOpen OIDCInjectorDebugFailedOpen OIDCInjectorErrors " +
		"OIDCInjectorDenials OIDCInjectorDenialsSpread OIDCInjectorSlow OIDCInjectorCertificateExpiry OIDCInjectorSelfProbeFailing " +
		"OIDCInjectorCertificateSyncFailing OIDCInjectorConfigInvalid"
)

// certificateExpiry is the expression of that alert.
// deniedPods are those of the last quarter of an hour.
const deniedPods = `((oidc_injector_findings_total{namespace="oidc-injector",job="oidc-injector-metrics",outcome="denied"} unless ` +
	`oidc_injector_findings_total{namespace="oidc-injector",job="oidc-injector-metrics",outcome="denied"} offset 15m) or ` +
	`increase(oidc_injector_findings_total{namespace="oidc-injector",job="oidc-injector-metrics",outcome="denied"}[15m]))`

func certificateExpiry(seconds string) string {
	const series = `{namespace="oidc-injector",job="oidc-injector-metrics"}`
	const ends = "oidc_injector_certificate_expiration_timestamp_seconds" + series
	const issued = "oidc_injector_certificate_issued_timestamp_seconds" + series
	return "min by (certificate) (" + ends + " - time() < clamp_max((" + ends + " - " + issued + ") / 6, " + seconds + "))"
}

func loginConfig(image string) string {
	return configHead + "login:\n  env:\n    OIDC_LOGIN_LOG_FORMAT: json\n  image: " + image + "\n  imagePullPolicy: IfNotPresent\n"
}

func TestValues(t *testing.T) {
	t.Parallel()
	for name, tt := range valuesTable {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var args []string
			if tt.set != "" {
				args = []string{"--set=" + tt.set}
			}
			// That both Helms render the same is what the golden files show.
			manifests, err := template(t, helms[0], "", args...)
			if err != nil {
				t.Fatal(err)
			}
			all, got := parse(t, manifests), expectations{}
			for path := range tt.want {
				if strings.HasPrefix(path, "--") {
					got[path] = all.flag(t, path)
				} else {
					got[path] = all.at(t, path)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("--set %s (-want +got):\n%s", tt.set, diff)
			}
		})
	}
}

// TestWrongCombinations: what a schema cannot say.
func TestWrongCombinations(t *testing.T) {
	for set, want := range map[string]string{
		"certificates.mode=secret,certificates.secret.caBundle=-----BEGIN CERTIFICATE-----": "certificates.secret.name: name the Secret " +
			"with tls.crt and tls.key",
		"certificates.mode=secret,certificates.secret.name=x": "certificates.secret.caBundle: give the certificate " +
			"authorities of the serving certificate, in PEM",
		"serviceAccount.create=false": "serviceAccount.name: name the ServiceAccount to use, or set serviceAccount.create",
		"metrics.enabled=false,metrics.serviceMonitor.enabled=true": "metrics.serviceMonitor.enabled: set metrics.enabled, " +
			"too: there is nothing to monitor without the Service",
		"metrics.enabled=false,metrics.prometheusRule.enabled=true": "metrics.prometheusRule.enabled: set metrics.enabled, " +
			"too: without the Service there are no series, which is an alert",
		"webhook.clientCertificates.allowedNames={a}": "webhook.clientCertificates.allowedNames: set " +
			"configMapName, too: without a certificate authority nobody is asked for a certificate",
		`commonLabels.app\.kubernetes\.io/name=a`: "commonLabels: app.kubernetes.io/name is a label of the chart's own",
		`podLabels.app\.kubernetes\.io/component=a`: "podLabels: app.kubernetes.io/component is a label by " +
			"which the Deployment finds its pods",
		"certificates.managed.caDuration=500h30m": "certificates.managed.caDuration: 500h30m is too short: " +
			"it has to be at least three times certificateDuration, 168h",
		"certificates.mode=cert-manager,certificates.certManager.duration=720h": "certificates.certManager.renewBefore: 720h is too " +
			"long: it has to be less than duration, 720h",
		"shutdownDelay=25s": "terminationGracePeriodSeconds: 30 is too short: it has to be more than " +
			"shutdownDelay, 25s, and webhook.timeoutSeconds, 5, together",
		"ports.probes=8080": "ports: webhook, metrics and probes have to be three different ports",
		"podDisruptionBudget.minAvailable=2": "podDisruptionBudget.minAvailable: 2 would block every drain of a node: " +
			"it has to be less than replicas, 2",
		"podDisruptionBudget.minAvailable=51%": "podDisruptionBudget.minAvailable: 51% of the replicas are all: it would " +
			"block every drain of a node",
		"podDisruptionBudget.minAvailable=100%,replicas=null": "podDisruptionBudget.minAvailable: 100% of the replicas are all",
		"podDisruptionBudget.maxUnavailable=0": "podDisruptionBudget.maxUnavailable: 0 would block every drain of a node: " +
			"at least 1",
		"podDisruptionBudget.maxUnavailable=0%": "podDisruptionBudget.maxUnavailable: 0 would block every drain of a node: " +
			"at least 1",
		"global.imageRegistry=https://r.example.com": "global.imageRegistry: https://r.example.com has a scheme: registries are named " +
			"without one",
		"login.image.registry=http://r.example.com": "login.image.registry: http://r.example.com has a scheme: registries are named " +
			"without one",
		"login.metrics.podMonitor.enabled=true": "login.metrics.podMonitor.enabled: set login.metrics.port, " +
			"too: without it there is nothing to monitor",
		"replicas=21,hostNetwork=true": "resourceQuota.pods: 20 is too few: there has to be room for replicas, 21",
		"replicas=20": "resourceQuota.pods: 20 is too few: there has to be room for one more than replicas, 20, " +
			"while pods are replaced",
	} {
		for _, h := range helms {
			if _, err := template(t, h, "", "--set="+set); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s --set %s: %v", h.Name, set, err)
			}
		}
	}
}

// TestAllWrongCombinationsAtOnce: all at once.
func TestAllWrongCombinationsAtOnce(t *testing.T) {
	_, err := template(t, helms[0], "", "--set=ports.probes=8080,serviceAccount.create=false,shutdownDelay=1m")
	for _, want := range []string{"\nports: ", "\nserviceAccount.name: ", "\nterminationGracePeriodSeconds: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing: %v", want, err)
		}
	}
}

// TestDurations compares some that are written in other words.
func TestDurations(t *testing.T) {
	for set, ok := range map[string]bool{
		"certificates.managed.caDuration=3h30m,certificates.managed.certificateDuration=70m":                             true,
		"certificates.managed.caDuration=3h29m59s,certificates.managed.certificateDuration=1h10m":                        false,
		"certificates.managed.caDuration=90s,certificates.managed.certificateDuration=30s":                               true,
		"certificates.managed.caDuration=1.5h,certificates.managed.certificateDuration=1800s":                            true,
		"certificates.managed.caDuration=29999ms,certificates.managed.certificateDuration=10s":                           false,
		"certificates.managed.caDuration=1h30m0.5s,certificates.managed.certificateDuration=30m":                         true,
		"shutdownDelay=1500ms,terminationGracePeriodSeconds=7,webhook.timeoutSeconds=5":                                  true,
		"shutdownDelay=2s,terminationGracePeriodSeconds=7,webhook.timeoutSeconds=5":                                      false,
		"certificates.managed.caDuration=30s,certificates.managed.certificateDuration=9h,certificates.mode=cert-manager": true,
	} {
		if _, err := template(t, helms[1], "", "--set="+set); (err == nil) != ok {
			t.Errorf("--set %s: %v", set, err)
		}
	}
}

// A Service's name begins with a letter.
func TestNameWithLeadingDigit(t *testing.T) {
	for _, h := range helms {
		_, err := h.RunWithInput(t.Context(), "", "template", "1st", chartDir, "--kube-version=1.30.0")
		if err == nil || !strings.Contains(err.Error(), `fullnameOverride: set it: "1st-oidc-injector"`) {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
}

// In kube-system the quota would be one for the whole control plane.
func TestNoQuotaInKubeSystem(t *testing.T) {
	all := render(t, "", "--namespace=kube-system")
	if all["ResourceQuota/oidc-injector-critical-pods"] != nil {
		t.Error("there is a ResourceQuota for kube-system")
	}
}
