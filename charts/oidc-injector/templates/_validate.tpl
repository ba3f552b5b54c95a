{{/*
What the schema cannot say: values that contradict each other. All of it is reported at
once.
*/}}
{{- define "oidc-injector.validate" -}}
{{- $errors := list -}}
{{- $fullname := include "oidc-injector.fullname" . -}}
{{- if not (regexMatch "^[a-z]" $fullname) -}}
{{- $errors = append $errors (printf "fullnameOverride: set it: %q, made of the release's name, cannot be the name of a Service, which begins with a letter" $fullname) -}}
{{- end -}}
{{- $own := include "oidc-injector.ownLabels" . | fromYaml -}}
{{- range $label := keys (.Values.commonLabels | default dict) | sortAlpha -}}
{{- if hasKey $own $label -}}
{{- $errors = append $errors (printf "commonLabels: %s is a label of the chart's own" $label) -}}
{{- end -}}
{{- end -}}
{{- $known := .Files.Get "files/keys.yaml" | fromYaml -}}
{{- $providers := concat $known.providers (keys (.Values.config.providers | default dict)) -}}
{{- $presets := dict -}}
{{- range $name, $keys := .Values.config.profiles }}{{ $_ := set $presets (printf "profiles.%s" $name) $keys }}{{ end -}}
{{- range .Values.config.bindings }}{{ $_ := set $presets (printf "bindings.%s" .name) .annotations }}{{ end -}}
{{- range $of, $keys := $presets -}}
{{- range $full := keys $keys | sortAlpha -}}
{{- $key := regexReplaceAll "\\..*$" $full "" -}}
{{- $ok := or (has $key $known.profiles) (eq $key "provider") (and (eq $key "profile") (hasPrefix "bindings." $of)) -}}
{{- range $providers }}{{ $ok = or $ok (hasPrefix (printf "%s-" .) $key) }}{{ end -}}
{{- if not $ok -}}
{{- $errors = append $errors (printf "config.%s.%s: is neither a key of profiles nor a parameter of a provider" $of $full) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $length := len (include "oidc-injector.matchCondition" .) -}}
{{- if and (gt $length 90000) (not .Values.webhook.allPods) -}}
{{- $errors = append $errors (printf "config.bindings: they make a match condition of %d characters, of more than 90000, and API servers take 100000: use patterns%s" $length (eq .Values.mode "webhook" | ternary ", or set webhook.allPods" "")) -}}
{{- end -}}
{{- $longest := .Values.config.maxExpiration | default "24h" -}}
{{- if lt (include "oidc-injector.seconds" $longest | float64) 600.0 -}}
{{- $errors = append $errors (printf "config.maxExpiration: %s is too short: it has to be at least 10m" $longest) -}}
{{- end -}}
{{- $sets := merge (dict "defaults" (.Values.config.defaults | default dict)) $presets -}}
{{- range $of, $keys := $sets -}}
{{- range $key, $value := $keys -}}
{{- if regexMatch "^expiration(\\.|$)" $key -}}
{{- $seconds := include "oidc-injector.seconds" (regexReplaceAll "^[0-9]+$" $value "${0}s") | float64 -}}
{{- if or (lt $seconds 600.0) (gt $seconds (include "oidc-injector.seconds" $longest | float64)) -}}
{{- $errors = append $errors (printf "config.%s.%s: %s has to be from 10m to maxExpiration, %s" $of $key $value $longest) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.mode "policy" -}}
{{- $errors = concat $errors (include "oidc-injector.policyModeErrors" (list . $sets) | fromJsonArray) -}}
{{- else -}}
{{- $errors = concat $errors (include "oidc-injector.webhookErrors" . | fromJsonArray) -}}
{{- end -}}
{{- $errors = concat $errors (include "oidc-injector.switchErrors" . | fromJsonArray) -}}
{{- with $errors -}}
{{- fail (printf "\n%s" (join "\n" .)) -}}
{{- end -}}
{{- end -}}

{{/*
An upgrade that changes the mode, as a list. Helm deletes what a release no longer has a moment
after it has created the rest, and API servers heed new policies later than that: pods in
between would get no token.
*/}}
{{- define "oidc-injector.switchErrors" -}}
{{- $errors := list -}}
{{- $other := eq .Values.mode "policy" | ternary "MutatingWebhookConfiguration" "MutatingAdmissionPolicy" -}}
{{- if and .Release.IsUpgrade (.Capabilities.APIVersions.Has (printf "admissionregistration.k8s.io/v1/%s" $other)) -}}
{{- $found := lookup "admissionregistration.k8s.io/v1" $other "" (include "oidc-injector.fullname" .) | default dict -}}
{{- $owner := $found | dig "metadata" "annotations" dict -}}
{{- if and (eq (get $owner "meta.helm.sh/release-name") .Release.Name) (eq (get $owner "meta.helm.sh/release-namespace") .Release.Namespace) -}}
{{- $errors = append $errors (printf "mode: an upgrade cannot change it to %s without losing pods' tokens meanwhile: install another release with it first, then uninstall this one (docs/modes.md)" .Values.mode) -}}
{{- end -}}
{{- end -}}
{{- toJson $errors -}}
{{- end -}}

{{/* What contradicts itself in how the webhook runs, as a list. */}}
{{- define "oidc-injector.webhookErrors" -}}
{{- $errors := list -}}
{{- $selector := include "oidc-injector.selectorLabels" . | fromYaml -}}
{{- range $label := keys (.Values.podLabels | default dict) | sortAlpha -}}
{{- if hasKey $selector $label -}}
{{- $errors = append $errors (printf "podLabels: %s is a label by which the Deployment finds its pods" $label) -}}
{{- end -}}
{{- end -}}
{{- with .Values.certificates -}}
{{- if and (eq .mode "managed") (lt (include "oidc-injector.seconds" .managed.caDuration | float64) (mulf 3 (include "oidc-injector.seconds" .managed.certificateDuration | float64))) -}}
{{- $errors = append $errors (printf "certificates.managed.caDuration: %s is too short: it has to be at least three times certificateDuration, %s" .managed.caDuration .managed.certificateDuration) -}}
{{- end -}}
{{- if and (eq .mode "cert-manager") (le (include "oidc-injector.seconds" .certManager.duration | float64) (include "oidc-injector.seconds" .certManager.renewBefore | float64)) -}}
{{- $errors = append $errors (printf "certificates.certManager.renewBefore: %s is too long: it has to be less than duration, %s" .certManager.renewBefore .certManager.duration) -}}
{{- end -}}
{{- if and (eq .mode "secret") (not .secret.name) -}}
{{- $errors = append $errors "certificates.secret.name: name the Secret with tls.crt and tls.key" -}}
{{- end -}}
{{- if and (eq .mode "secret") (not (trim .secret.caBundle)) -}}
{{- $errors = append $errors "certificates.secret.caBundle: give the certificate authorities of the serving certificate, in PEM" -}}
{{- end -}}
{{- end -}}
{{- range $name, $registry := dict "global.imageRegistry" .Values.global.imageRegistry "image.registry" .Values.image.registry "login.image.registry" .Values.login.image.registry -}}
{{- if contains "://" ($registry | default "") -}}
{{- $errors = append $errors (printf "%s: %s has a scheme: registries are named without one" $name $registry) -}}
{{- end -}}
{{- end -}}
{{- /* Whoever owns that name at the registry that nodes ask without one would hold the webhook's rights. */ -}}
{{- range $name, $image := ternary (dict "image" .Values.image "login.image" .Values.login.image) (dict "image" .Values.image) .Values.login.enabled -}}
{{- $reference := include "oidc-injector.image" (list $ $image) -}}
{{- if not (regexMatch "^([^/]*[.:][^/]*|localhost)/" $reference) -}}
{{- $errors = append $errors (printf "%s.registry: %s names no registry: set it, or global.imageRegistry, to the one that has the image" $name $reference) -}}
{{- end -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- if .enabled -}}
{{- $replicas := $.Values.replicas | default 1000000 | int -}}
{{- $least := toString .minAvailable -}}
{{- if kindIs "invalid" .minAvailable -}}
{{- if has (toString .maxUnavailable) (list "0" "0%") -}}
{{- $errors = append $errors "podDisruptionBudget.maxUnavailable: 0 would block every drain of a node: at least 1" -}}
{{- end -}}
{{- else if hasSuffix "%" $least -}}
{{- if ge (divf (mulf (trimSuffix "%" $least | float64) $replicas) 100 | ceil | int) $replicas -}}
{{- $errors = append $errors (printf "podDisruptionBudget.minAvailable: %s of the replicas are all: it would block every drain of a node" $least) -}}
{{- end -}}
{{- else if ge (int .minAvailable) $replicas -}}
{{- $errors = append $errors (printf "podDisruptionBudget.minAvailable: %s would block every drain of a node: it has to be less than replicas, %d" $least $replicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.webhook.clientCertificates -}}
{{- if and .allowedNames (not .configMapName) -}}
{{- $errors = append $errors "webhook.clientCertificates.allowedNames: set configMapName, too: without a certificate authority nobody is asked for a certificate" -}}
{{- end -}}
{{- end -}}
{{- if ge (addf (include "oidc-injector.seconds" .Values.shutdownDelay | float64) .Values.webhook.timeoutSeconds) (float64 .Values.terminationGracePeriodSeconds) -}}
{{- $errors = append $errors (printf "terminationGracePeriodSeconds: %v is too short: it has to be more than shutdownDelay, %s, and webhook.timeoutSeconds, %v, together" .Values.terminationGracePeriodSeconds .Values.shutdownDelay .Values.webhook.timeoutSeconds) -}}
{{- end -}}
{{- with .Values.ports -}}
{{- if ne (len (uniq (list (int .webhook) (int .metrics) (int .probes)))) 3 -}}
{{- $errors = append $errors "ports: webhook, metrics and probes have to be three different ports" -}}
{{- end -}}
{{- end -}}
{{- if include "oidc-injector.hasQuota" . -}}
{{- $replicas := int .Values.replicas -}}
{{- $pods := int .Values.resourceQuota.pods -}}
{{- if or .Values.hostNetwork .Values.updateStrategy -}}
{{- if gt $replicas $pods -}}
{{- $errors = append $errors (printf "resourceQuota.pods: %d is too few: there has to be room for replicas, %d" $pods $replicas) -}}
{{- end -}}
{{- else if ge $replicas $pods -}}
{{- $errors = append $errors (printf "resourceQuota.pods: %d is too few: there has to be room for one more than replicas, %d, while pods are replaced" $pods $replicas) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- $errors = append $errors "serviceAccount.name: name the ServiceAccount to use, or set serviceAccount.create" -}}
{{- end -}}
{{- if and .Values.login.metrics.podMonitor.enabled (not .Values.login.metrics.port) -}}
{{- $errors = append $errors "login.metrics.podMonitor.enabled: set login.metrics.port, too: without it there is nothing to monitor" -}}
{{- end -}}
{{- if not .Values.metrics.enabled -}}
{{- if .Values.metrics.serviceMonitor.enabled -}}
{{- $errors = append $errors "metrics.serviceMonitor.enabled: set metrics.enabled, too: there is nothing to monitor without the Service" -}}
{{- end -}}
{{- if .Values.metrics.prometheusRule.enabled -}}
{{- $errors = append $errors "metrics.prometheusRule.enabled: set metrics.enabled, too: without the Service there are no series, which is an alert" -}}
{{- end -}}
{{- end -}}
{{- toJson $errors -}}
{{- end -}}

{{/* A Go duration, such as 1h30m, in seconds. */}}
{{- define "oidc-injector.seconds" -}}
{{- $units := dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 1e-3 "us" 1e-6 "µs" 1e-6 "ns" 1e-9 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+[a-zµ]+" . -1 -}}
{{- $sum = addf $sum (mulf (regexFind "[0-9.]+" . | float64) (get $units (regexFind "[a-zµ]+" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}
