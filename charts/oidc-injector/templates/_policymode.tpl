{{/*
What the configuration says, as the variables of policies, in CEL: what
internal/policymode/settings.go makes of a configuration, for values. A test compares them.
JSON is CEL, too. Lists and maps come from templates as JSON.
*/}}

{{/* Variables of the configuration as a YAML list: (list $ PROGRAM), where PROGRAM is that of files/policymode.yaml. */}}
{{- define "oidc-injector.policySettings" -}}
{{- $root := index . 0 -}}
{{- $program := index . 1 -}}
{{- $config := $root.Values.config -}}
{{- $prefix := $root.Values.annotationPrefix -}}
{{- $longest := $config.maxExpiration | default $program.maxExpiration | include "oidc-injector.wholeSeconds" | int64 -}}
{{- $usual := include "oidc-injector.wholeSeconds" $program.expiration | int64 -}}
{{- $names := $program.names -}}
{{- $injected := concat (kindIs "slice" $config.injectedContainers | ternary $config.injectedContainers $program.injectedContainers.usual) $program.injectedContainers.always -}}
{{- if ne $prefix $program.prefix -}}
{{- $label := printf "%s-%s" (regexFind "^[^.]*" $prefix | trunc 20 | trimAll "-") (sha256sum $prefix | trunc 4) -}}
{{- range $what, $name := $program.names -}}
{{- $_ := set $names $what (hasPrefix "/" $name | ternary (printf "%s/%s/%s" (dir $name) $prefix (base $name)) (printf "%s-%s" $label $name)) -}}
{{- end -}}
{{- $injected = concat $injected $program.injectedContainers.ofTheDefaultPrefix -}}
{{- end -}}
{{- $literal := list -}}
{{- $patterns := list -}}
{{- range $injected -}}
{{- if regexMatch "[*?]" . }}{{ $patterns = append $patterns . }}{{ else }}{{ $literal = append $literal . }}{{ end -}}
{{- end -}}
{{- $parameters := dict -}}
{{- $providers := dict -}}
{{- range $name, $spec := include "oidc-injector.providers" . | fromJson -}}
{{- range $spec.parameters -}}
{{- $_ := set $parameters (printf "%s-%s" $name .name) (dict "provider" $name "parameter" .name) -}}
{{- end -}}
{{- $_ := set $providers $name (include "oidc-injector.policyProvider" (list $spec $program $longest) | fromJson) -}}
{{- end -}}
{{- $login := (include "oidc-injector.config" $root | fromYaml).login | default dict -}}
{{- $resources := $login.resources | default dict -}}
{{- $env := list -}}
{{- range $name := keys ($login.env | default dict) | sortAlpha -}}
{{- $env = append $env (dict "name" $name "value" (index $login.env $name)) -}}
{{- end -}}
{{- $variables := list -}}
{{- range list
  (list "prefix" (printf "%s/" $prefix | toRawJson))
  (list "version" ($root.Chart.AppVersion | toRawJson | toRawJson))
  (list "usualExpiration" (min $usual $longest | toString | toRawJson))
  (list "maxExpiration" ($longest | toString))
  (list "tokenVolume" (toRawJson $names.tokenVolume))
  (list "tokenDirectory" (toRawJson $names.tokenDirectory))
  (list "defaults" ($config.defaults | empty | ternary `{"": ""}.transformMap(k, v, k != "", v)` (toRawJson $config.defaults)))
  (list "profiles" ($config.profiles | default dict | toRawJson))
  (list "parameters" (toRawJson $parameters))
  (list "providers" (toRawJson $providers))
  (list "bindings" (include "oidc-injector.policyBindings" $config.bindings | fromJsonArray | toRawJson))
  (list "injectedNames" (toRawJson $literal))
  (list "injectedPattern" (include "oidc-injector.anyOf" $patterns | toRawJson))
  (list "denyUnknown" (eq $config.policy.unknownAnnotations "Deny" | toString))
  (list "apiServerAudiences" (concat (include "oidc-injector.apiServerAudiences" $root | fromYamlArray) ($config.policy.apiServerAudiences | default list) | include "oidc-injector.anyOf" | toRawJson))
  (list "policies" (include "oidc-injector.policyRules" (list $config.policy $program)))
  (list "loginContainer" (toRawJson $names.loginContainer))
  (list "loginVolume" (toRawJson $names.loginVolume))
  (list "loginDirectory" (toRawJson $names.loginDirectory))
  (list "caVolume" (toRawJson $names.caVolume))
  (list "clientVolume" (toRawJson $names.clientVolume))
  (list "loginImage" ($login.image | default "" | toRawJson))
  (list "loginPullPolicy" ($login.imagePullPolicy | default "" | toRawJson))
  (list "loginRequests" (hasKey $resources "requests" | ternary $resources.requests $program.loginResources.requests | toRawJson))
  (list "loginLimits" (hasKey $resources "limits" | ternary $resources.limits $program.loginResources.limits | toRawJson))
  (list "loginBundle" ($login.caBundle | default "" | toRawJson))
  (list "loginVariables" (toRawJson $env))
-}}
{{- $variables = append $variables (dict "name" (first .) "expression" (last .)) -}}
{{- end -}}
{{- toYaml $variables -}}
{{- end -}}

{{/* A Go duration in seconds. */}}
{{- define "oidc-injector.wholeSeconds" -}}
{{- include "oidc-injector.seconds" . | float64 | int64 -}}
{{- end -}}

{{/* One regular expression of a list of globs. */}}
{{- define "oidc-injector.anyOf" -}}
{{- $all := list -}}
{{- range . }}{{ $all = append $all (include "oidc-injector.glob" .) }}{{ end -}}
^({{ join "|" $all }})$
{{- end -}}

{{/* Regular expressions of directories, and of all that is below, as a list. */}}
{{- define "oidc-injector.trees" -}}
{{- $all := list -}}
{{- range . }}{{ $all = append $all (printf "(?s)^%s(/.*)?$" (include "oidc-injector.glob" (trimSuffix "/" .))) }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{/* The bindings, as maps of texts. */}}
{{- define "oidc-injector.policyBindings" -}}
{{- $all := list -}}
{{- range . -}}
{{- $selector := dict
  "name" .name
  "namespaces" (printf "^%s$" (include "oidc-injector.alternatives" .namespaces))
  "serviceAccounts" (printf "^%s$" (include "oidc-injector.alternatives" .serviceAccounts)) -}}
{{- $all = append $all (dict "selector" $selector "labels" (.podLabels | default dict) "annotations" .annotations) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* The rules that hold in the pod's namespace, in CEL: (list POLICY PROGRAM). */}}
{{- define "oidc-injector.policyRules" -}}
{{- $policy := index . 0 -}}
{{- $directories := dict "allowed" ($policy.mountPaths.allowed | default (index . 1).mountPaths) "denied" $policy.mountPaths.denied -}}
{{- $overall := dict "audiences" $policy.audiences "env" $policy.env "mountPaths" $directories "loginSecrets" $policy.loginSecrets "loginAddresses" $policy.loginAddresses | include "oidc-injector.policyLists" | fromJson -}}
{{- toRawJson (list $overall) -}}
{{- $own := list -}}
{{- range $policy.namespaces -}}
{{- $lists := include "oidc-injector.policyLists" . | fromJson -}}
{{- $_ := set $lists "namespaces" (dict "names" (include "oidc-injector.celPatterns" .namespaces | fromJsonArray)) -}}
{{- $own = append $own $lists -}}
{{- end -}}
{{- with $own }} +
{{ toRawJson . }}.filter(p, p.namespaces.names.exists(n, request.namespace.matches(n)))
{{- end -}}
{{- end -}}

{{/* The lists of a policy: what is allowed and denied as regular expressions, and as it is written. */}}
{{- define "oidc-injector.policyLists" -}}
{{- $lists := dict -}}
{{- range $name, $template := dict "audiences" "oidc-injector.celPatterns" "env" "oidc-injector.celPatterns" "mountPaths" "oidc-injector.trees" "loginSecrets" "oidc-injector.celPatterns" -}}
{{- $rule := index $ $name | default dict -}}
{{- $texts := dict "allowed" list "denied" list -}}
{{- range $list := keys $texts -}}
{{- range index $rule $list -}}
{{- $_ := set $texts $list (append (index $texts $list) (eq $name "env" | ternary (upper .) .)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $lists (eq $name "loginSecrets" | ternary "secrets" $name) (dict
  "allowed" (include $template $texts.allowed | fromJsonArray)
  "denied" (include $template $texts.denied | fromJsonArray)
  "named" $texts.allowed
  "shown" $texts.allowed) -}}
{{- end -}}
{{- $addresses := .loginAddresses | default dict -}}
{{- $_ := set $lists "addresses" (dict
  "allowed" (include "oidc-injector.addressPatterns" (list $addresses.allowed true) | fromJsonArray)
  "denied" (include "oidc-injector.addressPatterns" (list $addresses.denied false) | fromJsonArray)
  "named" list
  "shown" ($addresses.allowed | default list)) -}}
{{- toJson $lists -}}
{{- end -}}

{{/*
Regular expressions of addresses in parts: (list PATTERNS ALLOWED). What is allowed without a
port is allowed at the scheme's own. An IPv6 address needs mode webhook.
*/}}
{{- define "oidc-injector.addressPatterns" -}}
{{- $allowed := last . -}}
{{- $all := list -}}
{{- range first . -}}
{{- if eq . "*" -}}
{{- $all = append $all ($allowed | ternary "^https " "^https? ") -}}
{{- else -}}
{{- $scheme := regexFind "^https?" . -}}
{{- $rest := regexReplaceAll "^https?://" . "" -}}
{{- $path := regexFind "/.*$" $rest | trimSuffix "/" -}}
{{- $authority := regexReplaceAll "/.*$" $rest "" -}}
{{- $host := regexReplaceAll ":[0-9*?]+$" $authority "" | lower | trimSuffix "." -}}
{{- $port := regexFind ":[0-9*?]+$" $authority | trimPrefix ":" -}}
{{- if and $allowed (not $port) }}{{ $port = eq $scheme "https" | ternary "443" "80" }}{{ end -}}
{{- $kind := and (regexMatch "^[0-9.*?]*$" $host) (regexMatch "[0-9]" $host) | ternary "4" "[4n]" -}}
{{- $all = append $all (printf "^%s %s%s %s %s$" $scheme $kind (include "oidc-injector.addressPart" $host) (include "oidc-injector.addressPart" $port) (include "oidc-injector.addressPart" $path)) -}}
{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* A part of an address, of which nothing stands for anything. */}}
{{- define "oidc-injector.addressPart" -}}
{{- if . }}{{ include "oidc-injector.glob" . | replace ".*" "[^ ]*" }}{{ else }}[^ ]*{{ end -}}
{{- end -}}

{{/* The built-in providers, and those of the configuration beside them or in their place: (list $ PROGRAM). */}}
{{- define "oidc-injector.providers" -}}
{{- $all := dict -}}
{{- range $name, $spec := (index . 1).providers }}{{ $_ := set $all $name $spec }}{{ end -}}
{{- range $name, $spec := (index . 0).Values.config.providers }}{{ $_ := set $all $name $spec }}{{ end -}}
{{- toJson $all -}}
{{- end -}}

{{/* A provider as lists of rows, as CEL wants one type: (list SPEC PROGRAM LONGEST), with the longest lifetime of a token. */}}
{{- define "oidc-injector.policyProvider" -}}
{{- $spec := index . 0 -}}
{{- $least := include "oidc-injector.wholeSeconds" (index . 1).minExpiration | int64 -}}
{{- with $spec.minExpiration }}{{ $least = include "oidc-injector.wholeSeconds" . | int64 | max $least }}{{ end -}}
{{- $most := index . 2 -}}
{{- with $spec.maxExpiration }}{{ $most = include "oidc-injector.wholeSeconds" . | int64 | min $most }}{{ end -}}
{{- $file := $spec.file | default dict -}}
{{- $parameters := list -}}
{{- range $spec.parameters -}}
{{- $parameters = append $parameters (dict
  "name" .name
  "description" .description
  "required" (.required | default false | toString)
  "default" (.default | default "")
  "maxLength" (.maxLength | default 0 | int | toString)
  "pattern" (printf "^(?:%s)$" (.pattern | default ".*"))
  "said" (.pattern | default "")
  "address" (.address | default "")) -}}
{{- end -}}
{{- $env := list -}}
{{- range $spec.env }}{{ $env = append $env (dict "name" .name "value" .value) }}{{ end -}}
{{- $conflicts := list -}}
{{- range $spec.conflicts }}{{ $conflicts = append $conflicts (dict "env" .env "reason" .reason) }}{{ end -}}
{{- $rows := list -}}
{{- range include "oidc-injector.fileRows" $file | fromJsonArray }}{{ $rows = append $rows (dict "text" .) }}{{ end -}}
{{- $about := dict
  "audience" $spec.audience
  "minExpiration" (min $least $most | toString)
  "maxExpiration" ($most | toString)
  "file" ($file.name | default "")
  "json" (kindIs "map" $file.json | toString) -}}
{{- dict "about" (list $about) "parameters" $parameters "env" $env "conflicts" $conflicts "rows" $rows | toJson -}}
{{- end -}}

{{/* The parts of a file, each of which is there if all that it names has a value: lines of a text, or members of JSON. */}}
{{- define "oidc-injector.fileRows" -}}
{{- if kindIs "map" .json -}}
{{- include "oidc-injector.jsonRows" (list "" .json) -}}
{{- else -}}
{{- regexFindAll "[^\n]*\n|[^\n]+" (.text | default "") -1 | default list | toJson -}}
{{- end -}}
{{- end -}}

{{/* The rows of a value of JSON, with what stands before it: (list "" VALUE). U+0001 separates members, some of which are left out. */}}
{{- define "oidc-injector.jsonRows" -}}
{{- $before := index . 0 -}}
{{- $value := index . 1 -}}
{{- $rows := list -}}
{{- if kindIs "map" $value -}}
{{- $rows = list (printf "%s{" $before) -}}
{{- range $name := keys $value | sortAlpha -}}
{{- $rows = concat $rows (include "oidc-injector.jsonRows" (list (printf "\u0001%s:" (toJson $name)) (index $value $name)) | fromJsonArray) -}}
{{- end -}}
{{- $rows = append $rows "}" -}}
{{- else if kindIs "slice" $value -}}
{{- $rows = list (printf "%s[" $before) -}}
{{- range $value -}}
{{- $rows = concat $rows (include "oidc-injector.jsonRows" (list "\u0001" .) | fromJsonArray) -}}
{{- end -}}
{{- $rows = append $rows "]" -}}
{{- else -}}
{{- $rows = list (printf "%s%s" $before (toJson $value)) -}}
{{- end -}}
{{- toJson $rows -}}
{{- end -}}

{{/*
Which resources a policy is for: (list $ RULES), where those without rules are for workloads.
Without any there is no policy.
*/}}
{{- define "oidc-injector.policyResources" -}}
{{- $root := index . 0 -}}
{{- if index . 1 -}}
{{- range index . 1 -}}
{{- if or $root.Values.webhook.debugContainers.enabled (not (has "pods/ephemeralcontainers" .resources)) }}
{{ list . | toYaml }}
{{- end -}}
{{- end -}}
{{- else if not (include "oidc-injector.workloadsOff" $root) -}}
{{- range include "oidc-injector.podTemplates" $root | fromYamlArray }}
- operations: [CREATE, UPDATE]
  apiGroups: [{{ .apiGroup | quote }}]
  apiVersions: ["*"]
  resources: [{{ .resource }}]
  scope: Namespaced
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The metadata of a policy: (list $ SUFFIX ANNOTATIONS). */}}
{{- define "oidc-injector.policyMetadata" -}}
{{- $root := index . 0 -}}
name: {{ include "oidc-injector.fullname" $root }}{{ index . 1 }}
labels:
  {{- include "oidc-injector.labels" $root | replace "app.kubernetes.io/component: webhook" "app.kubernetes.io/component: policy" | nindent 2 }}
{{- with include "oidc-injector.annotations" (list $root (index . 2)) }}
{{ . }}
{{- end }}
{{- end -}}

{{/*
What values ask for and policies cannot do, as a list. Nobody may be told less than the webhook would do. What
says how the webhook runs has no meaning here, and stays where it is.
*/}}
{{- define "oidc-injector.policyModeErrors" -}}
{{- $root := . -}}
{{- $errors := list -}}
{{- $version := $root.Capabilities.KubeVersion.Version -}}
{{- if semverCompare "<1.36.0-0" $version -}}
{{- $errors = append $errors (printf "mode: policy needs Kubernetes 1.36 or newer, with MutatingAdmissionPolicies in admissionregistration.k8s.io/v1, and this is %s (helm template: --kube-version); webhook does not" $version) -}}
{{- end -}}
{{- with $root.Values.config.maxExpiration -}}
{{- $errors = concat $errors (include "oidc-injector.lifetimeErrors" (list "config.maxExpiration" .) | fromJsonArray) -}}
{{- end -}}
{{- range $name, $spec := $root.Values.config.providers -}}
{{- $errors = concat $errors (include "oidc-injector.policyProviderErrors" (list (printf "config.providers.%s" $name) $spec) | fromJsonArray) -}}
{{- end -}}
{{- with $root.Values -}}
{{- $webhook := .webhook -}}
{{- range list
  (list .config.setTokenUser "config.setTokenUser: only the webhook knows which user reads a token")
  (list $webhook.allPods "webhook.allPods: policies are for pods with annotations or bindings only")
  (list (ne $webhook.failurePolicy "Fail") (printf "webhook.failurePolicy: %s has no meaning: there is no webhook that could not be reached" $webhook.failurePolicy))
  (list $webhook.callerTokens "webhook.callerTokens: there is no webhook to call")
  (list $webhook.clientCertificates.configMapName "webhook.clientCertificates.configMapName: there is no webhook to call")
  (list .audit.enabled "audit.enabled: the webhook's pods would do it; kubectl oidc-injector lint --all-namespaces finds pods that were missed")
  (list .networkPolicy.enabled "networkPolicy.enabled: there are no pods to protect")
  (list .metrics.serviceMonitor.enabled "metrics.serviceMonitor.enabled: there are no metrics but the API server's own")
  (list .metrics.prometheusRule.enabled "metrics.prometheusRule.enabled: there are no metrics but the API server's own")
  (list .metrics.dashboard.enabled "metrics.dashboard.enabled: there are no metrics but the API server's own")
-}}
{{- if first . -}}
{{- $errors = append $errors (printf "%s; leave it out, or set mode to webhook" (last .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $errors -}}
{{- end -}}

{{/* What is wrong with a lifetime: (list PATH TEXT). */}}
{{- define "oidc-injector.lifetimeErrors" -}}
{{- $errors := list -}}
{{- $seconds := include "oidc-injector.seconds" (last .) -}}
{{- if not (and (regexMatch "^[0-9]+$" $seconds) (ge (float64 $seconds) 600.0)) -}}
{{- $errors = append $errors (printf "%s: %s has to be whole seconds, at least 10m" (first .) (last .)) -}}
{{- end -}}
{{- toJson $errors -}}
{{- end -}}

{{/* What is wrong with a provider, which no program looks at before pods do: (list PATH SPEC). */}}
{{- define "oidc-injector.policyProviderErrors" -}}
{{- $path := index . 0 -}}
{{- $spec := index . 1 -}}
{{- $file := $spec.file | default dict -}}
{{- $errors := list -}}
{{- $known := list "pod.namespace" "pod.name" "pod.serviceAccountName" "token.path" "token.directory" "token.audience" "file.path" -}}
{{- range $spec.parameters }}{{ $known = append $known .name }}{{ end -}}
{{- $templates := list $spec.audience ($file.text | default "") ($file.json | default dict | toRawJson) -}}
{{- range $spec.parameters }}{{ $templates = append $templates (.default | default "") }}{{ end -}}
{{- range $spec.env }}{{ $templates = append $templates .value }}{{ end -}}
{{- range regexFindAll "\\$\\{[^}]*\\}?" (join "\n" $templates) -1 | uniq -}}
{{- if not (and (hasSuffix "}" .) (has (trimPrefix "${" . | trimSuffix "}") $known)) -}}
{{- $errors = append $errors (printf "%s: %s names neither a parameter nor what is known of a pod and its token" $path .) -}}
{{- end -}}
{{- end -}}
{{- range $name := list "minExpiration" "maxExpiration" -}}
{{- with index $spec $name -}}
{{- $errors = concat $errors (include "oidc-injector.lifetimeErrors" (list (printf "%s.%s" $path $name) .) | fromJsonArray) -}}
{{- end -}}
{{- end -}}
{{- if contains "\u0001" ($file.text | default "") -}}
{{- $errors = append $errors (printf "%s.file.text: a file with U+0001 needs mode webhook" $path) -}}
{{- end -}}
{{- range include "oidc-injector.jsonRows" (list "" ($file.json | default dict)) | fromJsonArray -}}
{{- if regexMatch "^\u0001\"([^\"\\\\]|\\\\.)*\\$\\{([^\"\\\\]|\\\\.)*\":" . -}}
{{- $errors = append $errors (printf "%s.file.json: a name with ${ in it needs mode webhook" $path) -}}
{{- end -}}
{{- end -}}
{{- toJson $errors -}}
{{- end -}}
