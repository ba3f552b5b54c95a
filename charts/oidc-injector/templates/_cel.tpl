{{/*
The audience policy in CEL, for the ValidatingAdmissionPolicy that applies it to
volumes. It is that of internal/policy; a test compares their answers.
*/}}

{{/* A glob as a part of a regular expression: '*' is any text, '?' one character. */}}
{{- define "oidc-injector.glob" -}}
{{ regexQuoteMeta . | replace "\\*" ".*" | replace "\\?" "." }}
{{- end -}}

{{/* And as one for the whole text. */}}
{{- define "oidc-injector.regexp" -}}
(?s)^{{ include "oidc-injector.glob" . }}$
{{- end -}}

{{/* A list of globs as a CEL list of regular expressions; JSON's strings are CEL's, too. */}}
{{- define "oidc-injector.celPatterns" -}}
{{- $patterns := list -}}
{{- range . }}{{ $patterns = append $patterns (include "oidc-injector.regexp" .) }}{{ end -}}
{{- $patterns | toRawJson -}}
{{- end -}}

{{- define "oidc-injector.celTexts" -}}
{{- . | toRawJson -}}
{{- end -}}

{{/*
One list of all rules that hold in the pod's namespace, added up:
(list POLICY "allowed" TEMPLATE), where TEMPLATE makes a CEL list of a list.
*/}}
{{- define "oidc-injector.celRules" -}}
{{- $policy := index . 0 -}}
{{- $list := index . 1 -}}
{{- $template := index . 2 -}}
{{- $terms := list (include $template (index $policy.audiences $list | default list)) -}}
{{- range $rule := $policy.namespaces -}}
{{- with index ($rule.audiences | default dict) $list -}}
{{- $terms = append $terms (printf "(%s.exists(name, request.namespace.matches(name)) ? %s : [])" (include "oidc-injector.celPatterns" $rule.namespaces) (include $template .)) -}}
{{- end -}}
{{- end -}}
{{- join " + " $terms -}}
{{- end -}}

{{/*
Where objects have the template of their pods: the workloads of Kubernetes, as
internal/podtemplate has them, and those that are configured.
*/}}
{{- define "oidc-injector.podTemplates" -}}
- {apiGroup: "", resource: replicationcontrollers, path: spec.template}
- {apiGroup: apps, resource: daemonsets, path: spec.template}
- {apiGroup: apps, resource: deployments, path: spec.template}
- {apiGroup: apps, resource: replicasets, path: spec.template}
- {apiGroup: apps, resource: statefulsets, path: spec.template}
- {apiGroup: batch, resource: cronjobs, path: spec.jobTemplate.spec.template}
- {apiGroup: batch, resource: jobs, path: spec.template}
{{- with .Values.config.podTemplates }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Rules of a webhook or a policy that match these objects. */}}
{{- define "oidc-injector.workloadRules" -}}
{{- $groups := dict -}}
{{- range include "oidc-injector.podTemplates" . | fromYamlArray -}}
{{- $_ := set $groups .apiGroup (append (index $groups .apiGroup | default list) .resource) -}}
{{- end -}}
{{- range $group, $resources := $groups }}
- operations: [CREATE, UPDATE]
  apiGroups: [{{ $group | quote }}]
  apiVersions: [{{ has $group (list "" "apps" "batch") | ternary "v1" "*" | quote }}]
  resources: {{ $resources | toRawJson }}
  scope: Namespaced
{{- end }}
{{- end -}}

{{/* A path of fields, any of which may be absent, in CEL: (list "object" "spec.template"). */}}
{{- define "oidc-injector.celPath" -}}
{{ index . 0 }}.?{{ index . 1 | replace "." ".?" }}
{{- end -}}

{{/*
The paths of all annotations that pods have, or that stand above those of a template by
mistake, as a YAML list.
*/}}
{{- define "oidc-injector.annotationPaths" -}}
{{- $paths := list "metadata.annotations" -}}
{{- range include "oidc-injector.podTemplates" . | fromYamlArray -}}
{{- $at := "" -}}
{{- range splitList "." .path -}}
{{- $at = trimPrefix "." (printf "%s.%s" $at .) -}}
{{- if ne . "spec" }}{{ $paths = append $paths (printf "%s.metadata.annotations" $at) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- uniq $paths | toYaml -}}
{{- end -}}

{{/* All these annotations of an object as a CEL list of maps: (list $ "object"). */}}
{{- define "oidc-injector.celAnnotations" -}}
{{- $terms := list -}}
{{- range include "oidc-injector.annotationPaths" (index . 0) | fromYamlArray -}}
{{- $terms = append $terms (printf "%s.orValue({})" (include "oidc-injector.celPath" (list (index $ 1) .))) -}}
{{- end -}}
[{{ join ",\n" $terms }}]
{{- end -}}

{{/* Whether an update changes any of them, or a template, in CEL. */}}
{{- define "oidc-injector.celChanged" -}}
{{- $paths := include "oidc-injector.annotationPaths" . | fromYamlArray -}}
{{- range include "oidc-injector.podTemplates" . | fromYamlArray -}}
{{- $paths = append (without $paths (printf "%s.metadata.annotations" .path)) .path -}}
{{- end -}}
{{- $terms := list -}}
{{- range uniq $paths -}}
{{- $terms = append $terms (printf "%s != %s" (include "oidc-injector.celPath" (list "object" .)) (include "oidc-injector.celPath" (list "oldObject" .))) -}}
{{- end -}}
{{ join " ||\n" $terms }}
{{- end -}}

{{/* The names that clusters commonly give to their API server, as internal/policy has them. */}}
{{- define "oidc-injector.apiServerAudiences" -}}
- https://kubernetes
- https://kubernetes.default
- https://kubernetes.default.svc
- https://kubernetes.default.svc.*
- kubernetes.default.svc
- kubernetes.default.svc.*
{{- end -}}

{{/*
Which pods come to the webhook: those with annotations of ours, and those with bindings.
The text is that of internal/binding, to the letter: the webhook compares.
*/}}
{{- define "oidc-injector.matchCondition" -}}
{{- $terms := list (printf `has(object.metadata.annotations) && object.metadata.annotations.exists(key, key.startsWith("%s/"))` .Values.annotationPrefix) -}}
{{- $names := list -}}
{{- $patterns := list -}}
{{- $labelled := list -}}
{{- range $binding := .Values.config.bindings -}}
{{- $accounts := include "oidc-injector.boundAccounts" . | fromYaml -}}
{{- if .podLabels -}}
{{- $labels := "" -}}
{{- range $name := keys .podLabels | sortAlpha -}}
{{- $labels = printf "%s && object.metadata.?labels[?%s] == optional.of(%s)" $labels (toRawJson $name) (toRawJson (index $binding.podLabels $name)) -}}
{{- end -}}
{{- $labelled = append $labelled (printf "(%s)%s" (include "oidc-injector.accountTerms" $accounts | fromYamlArray | join " || ") $labels) -}}
{{- else -}}
{{- $names = concat $names $accounts.names -}}
{{- $patterns = concat $patterns $accounts.patterns -}}
{{- end -}}
{{- end -}}
{{- $terms = concat $terms (include "oidc-injector.accountTerms" (dict "names" $names "patterns" $patterns) | fromYamlArray) ($labelled | uniq | sortAlpha) -}}
{{- join " || " $terms -}}
{{- end -}}

{{/* The ServiceAccounts of a binding: as `names`, NAMESPACE/NAME, or as `patterns`, regular expressions of those. */}}
{{- define "oidc-injector.boundAccounts" -}}
{{- $names := list -}}
{{- $patterns := list -}}
{{- if or (regexMatch "[*?]" (join "" (concat .namespaces .serviceAccounts))) (gt (mul (len .namespaces) (len .serviceAccounts)) 1000) -}}
{{- $patterns = list (printf "%s/%s" (include "oidc-injector.alternatives" .namespaces) (include "oidc-injector.alternatives" .serviceAccounts)) -}}
{{- else -}}
{{- range $namespace := .namespaces -}}
{{- range $.serviceAccounts }}{{ $names = append $names (printf "%s/%s" $namespace .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- dict "names" $names "patterns" $patterns | toJson -}}
{{- end -}}

{{- define "oidc-injector.alternatives" -}}
{{- $all := list -}}
{{- range . | uniq | sortAlpha }}{{ $all = append $all (regexQuoteMeta . | replace "\\*" "[^/]*" | replace "\\?" "[^/]") }}{{ end -}}
({{ join "|" $all }})
{{- end -}}

{{/* Terms in CEL that hold for pods of these ServiceAccounts, as a YAML list. */}}
{{- define "oidc-injector.accountTerms" -}}
{{- $account := `(request.namespace + "/" + object.spec.?serviceAccountName.orValue("default"))` -}}
{{- $terms := list -}}
{{- with .names -}}
{{- $terms = append $terms (printf "%s in %s" $account (. | uniq | sortAlpha | toRawJson)) -}}
{{- end -}}
{{- with .patterns -}}
{{- $terms = append $terms (printf "%s.matches(%s)" $account (printf "^(%s)$" (. | uniq | sortAlpha | join "|") | toRawJson)) -}}
{{- end -}}
{{- $terms | toJson -}}
{{- end -}}
