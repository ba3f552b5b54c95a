{{- define "oidc-injector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for the longest name that is made of it, and without the dots that a release may have but a Service may not. */}}
{{- define "oidc-injector.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 40 | trimAll "-" -}}
{{- end -}}
{{- end -}}

{{- define "oidc-injector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "oidc-injector.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: webhook
{{- end -}}

{{- define "oidc-injector.ownLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "oidc-injector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "oidc-injector.labels" -}}
{{ include "oidc-injector.ownLabels" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The annotations of an object: (list $ DICT), where its own win over commonAnnotations. */}}
{{- define "oidc-injector.annotations" -}}
{{- with merge (dict) (index . 1 | default dict) ((index . 0).Values.commonAnnotations | default dict) -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* The namespace of the chart's objects. */}}
{{- define "oidc-injector.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "oidc-injector.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "oidc-injector.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/*
An image's reference: (list $ .Values.image). A tag beside a digest tells people
what it is; the digest alone counts. The chart of a release knows its registry, which
a parent's empty global.imageRegistry does not take away.
*/}}
{{- define "oidc-injector.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- with coalesce $image.registry $root.Values.global.imageRegistry (index ($root.Chart.Annotations | default dict) "oidc-injector.io/registry") -}}
{{- trimSuffix "/" . }}/
{{- end -}}
{{- $image.repository -}}
{{- if $image.digest -}}
{{- with $image.tag -}}:{{ . }}{{- end -}}
@{{ $image.digest }}
{{- else -}}
:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* Whether the reference of an image names a registry. */}}
{{- define "oidc-injector.namesRegistry" -}}
{{- if regexMatch "^([^/]*[.:][^/]*|localhost)/" . -}}true{{- end -}}
{{- end -}}

{{/* Whether there is a test. Policies need no image, and do without one where no registry is named: nobody may guess whose it is. */}}
{{- define "oidc-injector.tested" -}}
{{- if and .Values.test.enabled (or (eq .Values.mode "webhook") (include "oidc-injector.image" (list $ .Values.image) | include "oidc-injector.namesRegistry")) -}}true{{- end -}}
{{- end -}}

{{- define "oidc-injector.imagePullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets | default list -}}
{{- range .Values.global.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets -}}
imagePullSecrets:
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* What the pods of a check have in common, which run once and are gone. */}}
{{- define "oidc-injector.oneOffPod" -}}
{{- with include "oidc-injector.imagePullSecrets" . }}
{{- . }}
{{ end -}}
{{- with .Values.nodeSelector -}}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with .Values.tolerations -}}
tolerations:
  {{- toYaml . | nindent 2 }}
{{ end -}}
securityContext:
  runAsNonRoot: true
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* And their container, but for its name and arguments. */}}
{{- define "oidc-injector.oneOffContainer" -}}
image: {{ include "oidc-injector.image" (list $ .Values.image) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
resources:
  requests:
    cpu: 5m
    memory: 16Mi
  limits:
    memory: 64Mi
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
  readOnlyRootFilesystem: true
{{- end -}}

{{/* Whether the webhook looks at its registration. */}}
{{- define "oidc-injector.readsConfiguration" -}}
{{- if or .Values.certificates.selfProbe (eq .Values.certificates.mode "managed") .Values.webhook.callerTokens -}}true{{- end -}}
{{- end -}}

{{/* Whether the webhook talks to the API server, and so has a token. */}}
{{- define "oidc-injector.usesAPI" -}}
{{- if or (include "oidc-injector.readsConfiguration" .) .Values.audit.enabled -}}true{{- end -}}
{{- end -}}

{{- define "oidc-injector.caSecretName" -}}
{{- .Values.certificates.managed.secretName | default (printf "%s-ca" (include "oidc-injector.fullname" .)) -}}
{{- end -}}

{{- define "oidc-injector.leaseName" -}}
{{- .Values.audit.leaseName | default (printf "%s-audit" (include "oidc-injector.fullname" .)) -}}
{{- end -}}

{{/* The Secret with the serving certificate that is mounted, where one is. */}}
{{- define "oidc-injector.certificateSecretName" -}}
{{- if eq .Values.certificates.mode "secret" -}}
{{- .Values.certificates.secret.name -}}
{{- else -}}
{{- include "oidc-injector.fullname" . }}-tls
{{- end -}}
{{- end -}}

{{- define "oidc-injector.namespaceLabel" -}}
{{- .Values.webhook.namespaces.label | default (printf "%s/enabled" .Values.annotationPrefix) -}}
{{- end -}}

{{/*
Namespaces that the webhook never serves. Pods in them have to start while it is
down: itself first of all.
*/}}
{{- define "oidc-injector.excludedNamespaces" -}}
{{- concat (list "kube-system" "kube-public" "kube-node-lease" (include "oidc-injector.namespace" .)) (.Values.webhook.namespaces.exclude | default list) | uniq | sortAlpha | toYaml -}}
{{- end -}}

{{- define "oidc-injector.notExcluded" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values:
  {{- include "oidc-injector.excludedNamespaces" . | nindent 2 }}
{{- end -}}

{{/* Whether there is a ResourceQuota for the priority class; one in kube-system would be for the whole control plane. */}}
{{- define "oidc-injector.hasQuota" -}}
{{- if and .Values.resourceQuota.enabled (has .Values.priorityClassName (list "system-cluster-critical" "system-node-critical")) (ne (include "oidc-injector.namespace" .) "kube-system") -}}true{{- end -}}
{{- end -}}

{{/* How an API server reaches the webhook: (list $ PATH). In modes but "secret" the bundle is somebody else's, and is not declared. */}}
{{- define "oidc-injector.clientConfig" -}}
{{- $root := index . 0 -}}
clientConfig:
  {{- if eq $root.Values.certificates.mode "secret" }}
  caBundle: {{ $root.Values.certificates.secret.caBundle | b64enc }}
  {{- end }}
  service:
    name: {{ include "oidc-injector.fullname" $root }}
    namespace: {{ include "oidc-injector.namespace" $root | quote }}
    path: {{ index . 1 }}
    port: {{ $root.Values.service.port }}
{{- end -}}

{{/* Namespaces that the webhook serves. */}}
{{- define "oidc-injector.namespaceSelector" -}}
{{- if eq .Values.webhook.namespaces.mode "OptIn" -}}
matchLabels:
  {{ include "oidc-injector.namespaceLabel" . }}: "true"
matchExpressions:
{{ include "oidc-injector.notExcluded" . }}
{{- else -}}
matchExpressions:
{{ include "oidc-injector.notExcluded" . }}
- key: {{ include "oidc-injector.namespaceLabel" . }}
  operator: NotIn
  values: ["false"]
{{- end -}}
{{- end -}}

{{/* A label selector as text, as kubectl and flags take it. */}}
{{- define "oidc-injector.selectorText" -}}
{{- $terms := list -}}
{{- range $key, $value := .matchLabels -}}
{{- $terms = append $terms (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- range .matchExpressions -}}
{{- if eq .operator "Exists" -}}
{{- $terms = append $terms .key -}}
{{- else if eq .operator "DoesNotExist" -}}
{{- $terms = append $terms (printf "!%s" .key) -}}
{{- else -}}
{{- $terms = append $terms (printf "%s %s (%s)" .key (lower .operator) (join "," .values)) -}}
{{- end -}}
{{- end -}}
{{- join "," $terms -}}
{{- end -}}

{{/* "Off" where workloads are not checked. An Off without quotes is a false in YAML 1.1. */}}
{{- define "oidc-injector.workloadsOff" -}}
{{- $workloads := .Values.config.policy.workloads -}}
{{- if or (eq (toString $workloads) "Off") (kindIs "bool" $workloads) -}}Off{{- end -}}
{{- end -}}

{{/* The InjectorConfig, without what is not set. */}}
{{- define "oidc-injector.config" -}}
{{- $config := dict "apiVersion" "config.oidc-injector.io/v1alpha1" "kind" "InjectorConfig" -}}
{{- with .Values.config.defaults }}{{ $_ := set $config "defaults" . }}{{ end -}}
{{- with .Values.config.maxExpiration }}{{ $_ := set $config "maxExpiration" . }}{{ end -}}
{{- if kindIs "slice" .Values.config.injectedContainers }}{{ $_ := set $config "injectedContainers" .Values.config.injectedContainers }}{{ end -}}
{{- with .Values.config.providers }}{{ $_ := set $config "providers" . }}{{ end -}}
{{- with .Values.config.setTokenUser }}{{ $_ := set $config "setTokenUser" . }}{{ end -}}
{{- with .Values.config.profiles }}{{ $_ := set $config "profiles" . }}{{ end -}}
{{- with .Values.config.bindings }}{{ $_ := set $config "bindings" . }}{{ end -}}
{{- if .Values.login.enabled -}}
{{- $login := dict "image" (include "oidc-injector.image" (list $ .Values.login.image)) "imagePullPolicy" .Values.login.image.pullPolicy -}}
{{- with .Values.login.resources }}{{ $_ := set $login "resources" . }}{{ end -}}
{{- with .Values.login.caBundle }}{{ $_ := set $login "caBundle" . }}{{ end -}}
{{- $env := dict "OIDC_LOGIN_LOG_FORMAT" .Values.log.format -}}
{{- with (.Values.login.metrics | default dict).port }}{{ $_ := set $env "OIDC_LOGIN_LISTEN_ADDRESS" (printf ":%d" (int .)) }}{{ end -}}
{{- $_ := set $login "env" (merge (dict) (.Values.login.env | default dict) $env) -}}
{{- $_ := set $config "login" $login -}}
{{- end -}}
{{- $policy := dict -}}
{{- range $name := list "audiences" "loginAddresses" "loginSecrets" "env" "mountPaths" -}}
{{- $rule := dict -}}
{{- range $list, $patterns := index $.Values.config.policy $name -}}
{{- with $patterns }}{{ $_ := set $rule $list . }}{{ end -}}
{{- end -}}
{{- with $rule }}{{ $_ := set $policy $name . }}{{ end -}}
{{- end -}}
{{- with .Values.config.policy.namespaces }}{{ $_ := set $policy "namespaces" . }}{{ end -}}
{{- with .Values.config.policy.apiServerAudiences }}{{ $_ := set $policy "apiServerAudiences" . }}{{ end -}}
{{- with .Values.config.policy.unknownAnnotations }}{{ $_ := set $policy "unknownAnnotations" . }}{{ end -}}
{{- if or .Values.config.policy.workloads (include "oidc-injector.workloadsOff" .) -}}
{{- $_ := set $policy "workloads" (include "oidc-injector.workloadsOff" . | default .Values.config.policy.workloads) -}}
{{- end -}}
{{- with $policy }}{{ $_ := set $config "policy" . }}{{ end -}}
{{- with .Values.config.podTemplates }}{{ $_ := set $config "podTemplates" . }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{/*
The ConfigMap of a configuration has its hash in its name: pods go on with the one that
they were made for, and a change replaces pods, so that `helm upgrade --wait` returns when it
is in force.
*/}}
{{- define "oidc-injector.configMapName" -}}
{{- include "oidc-injector.fullname" . }}-config-{{ include "oidc-injector.config" . | sha256sum | trunc 10 }}
{{- end -}}

{{/* Series of this release. */}}
{{- define "oidc-injector.series" -}}
namespace="{{ include "oidc-injector.namespace" . }}",job="{{ include "oidc-injector.fullname" . }}-metrics"
{{- end -}}
