{{/*
The audience policy in CEL, for the ValidatingAdmissionPolicy that applies it to
volumes. It is that of internal/policy; a test compares their answers.
*/}}

{{/* A glob as a regular expression: '*' is any text, '?' one character. */}}
{{- define "oidc-injector.regexp" -}}
(?s)^{{ regexQuoteMeta . | replace "\\*" ".*" | replace "\\?" "." }}$
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

{{/* The names that clusters commonly give to their API server, as internal/policy has them. */}}
{{- define "oidc-injector.apiServerAudiences" -}}
- https://kubernetes
- https://kubernetes.default
- https://kubernetes.default.svc
- https://kubernetes.default.svc.*
- kubernetes.default.svc
- kubernetes.default.svc.*
{{- end -}}
