package chart

// testCA is a certificate for values; nothing is verified by it.
const testCA = `-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjANMQswCQYDVQQDEwJjYTAeFw0y
NjAxMDEwMDAwMDBaFw0zNjAxMDEwMDAwMDBaMA0xCzAJBgNVBAMTAmNhMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAEZZ8FHPPKSFHYSNzRAM5fWYHXO2qPUbnGlhLN
-----END CERTIFICATE-----
`

// variants are values that together make the chart render everything that it can.
// Each has a golden file, and is shown to the API server.
var variants = map[string]string{
	"default": ``,
	"cert-manager": `
certificates: {mode: cert-manager}
`,
	"cert-manager-issuer": `
certificates:
  mode: cert-manager
  certManager: {issuerRef: {name: company, kind: ClusterIssuer, group: cert-manager.io}, duration: 24h, renewBefore: 8h}
`,
	"secret": `
certificates:
  mode: secret
  selfProbe: false
  secret:
    name: webhook-certificate
    caBundle: |
` + indent(testCA, "      "),
	"private-control-plane": `
hostNetwork: true
ports: {webhook: 19443, metrics: 18080, probes: 18081}
priorityClassName: ""
podSecurityContext: {runAsUser: 1000}
tolerations:
- {key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}
nodeSelector: {node-role.kubernetes.io/control-plane: ""}
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector: {matchLabels: {app.kubernetes.io/component: webhook}}
topologySpreadConstraints:
- {topologyKey: example.com/rack, whenUnsatisfiable: DoNotSchedule}
`,
	"everything": `
global: {imageRegistry: registry.example.com, imagePullSecrets: [{name: global-pull}]}
imagePullSecrets: [{name: pull}]
commonLabels: {team: identity}
image: {digest: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, tag: v9, pullPolicy: Always}
login:
  image: {registry: "other.example.com:5000/mirror", tag: v8, pullPolicy: Always}
  resources: {requests: {cpu: 1m}, limits: {memory: 64Mi}}
  env: {HTTPS_PROXY: "http://proxy.example.com:3128"}
  metrics: {port: 9102, podMonitor: {enabled: true, labels: {prometheus: main}}}
config:
  defaults: {expiration: 30m, skip-containers: istio-proxy}
  maxExpiration: 12h
  injectedContainers: [istio-*, own-proxy]
  profiles:
    vault: {audience: vault, login: vault, login-address: "https://vault.example.com:8200"}
    clouds: {audience.aws: sts.amazonaws.com, env.aws: AWS_WEB_IDENTITY_TOKEN_FILE}
  bindings:
  - {name: reports, namespaces: [shop, "shop-*"], serviceAccounts: [reports], podLabels: {app: grafana}, annotations: {profile: vault}}
  - {name: jobs, namespaces: [jobs], serviceAccounts: [default], annotations: {audience: vault, env: VAULT_TOKEN_FILE}}
  policy:
    audiences: {allowed: [vault, "https://*.example.com"], denied: ['odd "one" \ & <two>']}
    loginAddresses: {allowed: ["https://vault.example.com:8200"]}
    env: {allowed: [KUBECONFIG, "*"], denied: ["AWS_*"]}
    mountPaths: {allowed: [/var/run/secrets], denied: ["/var/run/secrets/*.aws"]}
    namespaces:
    - {namespaces: [payments, "payments-*"], audiences: {allowed: [sts.amazonaws.com], denied: [vault]}}
    - {namespaces: [windows], env: {denied: [TOKEN]}, mountPaths: {allowed: ['D:\tokens']}}
    apiServerAudiences: ["https://issuer.example.com"]
configCheck: {enabled: false}
certificates: {managed: {secretName: own-ca, caDuration: 4380h, certificateDuration: 24h}}
webhook:
  failurePolicy: Ignore
  timeoutSeconds: 3
  reinvocationPolicy: Never
  namespaces: {mode: OptOut, exclude: [istio-system]}
  objectSelector: {matchExpressions: [{key: skip, operator: DoesNotExist}]}
  matchConditions: [{name: not-jobs, expression: "!has(object.metadata.ownerReferences)"}]
  debugContainers: {failurePolicy: Fail}
  clientCertificates: {configMapName: apiserver-client-ca, allowedNames: [kube-apiserver, other]}
  annotations: {example.com/note: "yes"}
replicas: 3
updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 100%}}
podDisruptionBudget: {minAvailable: 2}
podLabels: {pod: label}
podAnnotations: {pod: annotation}
deploymentAnnotations: {deployment: annotation}
log: {level: debug, format: text}
tlsMinVersion: VersionTLS12
namespaceOverride: oidc-injector
commonAnnotations: {example.com/owner: identity}
extraObjects:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: '{{ include "oidc-injector.fullname" . }}-extra',
  namespace: '{{ .Release.Namespace }}'}, data: {a: b}}
hostUsers: false
startupProbe: {periodSeconds: 2, failureThreshold: 90}
extraArgs: [--enable-http2]
env: [{name: GODEBUG, value: madvdontneed=1}]
extraVolumes: [{name: extra, emptyDir: {}}]
extraVolumeMounts: [{name: extra, mountPath: /extra}]
service: {port: 8443, annotations: {service: annotation}}
serviceAccount: {name: special, annotations: {account: annotation}}
networkPolicy:
  enabled: true
  webhookFrom: [{ipBlock: {cidr: 192.0.2.0/24}}]
  metricsFrom: [{namespaceSelector: {matchLabels: {name: monitoring}}}]
  apiServerTo: [{ipBlock: {cidr: 192.0.2.0/24}}]
metrics:
  serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 15s, scrapeTimeout: 10s, relabelings: [{action: labeldrop,
    regex: pod_ip}]}
  prometheusRule: {enabled: true, labels: {release: prometheus}, alertLabels: {team: identity},
    runbookURL: "https://runbooks.example.com/", disabled: [OIDCInjectorSlow]}
  dashboard: {enabled: true, annotations: {folder: Identity}}
audit: {enabled: true}
issuerDiscovery: {anonymous: true}
policies:
  unlabelledNamespaces: {enabled: true, actions: [Warn, Audit]}
  tokenVolumes: {enabled: true, namespaceSelector: {matchLabels: {tier: app}}}
`,
}
