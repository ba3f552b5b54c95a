package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/report"
)

// plain are names that a shell takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

// sayable reports whether commands can name everything. Those who write a file, or the owners
// of a pod, may give it a name that is a command itself; API servers do not look.
func (s *Snapshot) sayable() bool {
	names := []string{s.Of, s.Namespace, string(s.Webhook.Prefix)}
	if s.Controller != "" {
		names = append(names, s.Controller)
	}
	if i := s.Webhook.Installation; i != nil && i.Release != "" {
		names = append(names, i.Release)
	}
	if p := s.Webhook.Policies; p != nil && p.Release != "" {
		names = append(names, p.Release, p.Namespace)
	}
	return !slices.ContainsFunc(names, func(n string) bool { return !plain.MatchString(n) })
}

// withoutFixes are steps without commands.
func withoutFixes(steps []Step) []Step {
	kept := slices.Clone(steps)
	for i := range kept {
		kept[i].Fix, kept[i].Steps = "", withoutFixes(kept[i].Steps)
	}
	return kept
}

// again has the pod be made again, as a running one is never injected.
func (s *Snapshot) again() string {
	kind, _, _ := strings.Cut(s.Controller, "/")
	switch {
	case s.Live == nil:
		return ""
	case slices.Contains([]string{"deployment", "statefulset", "daemonset"}, kind):
		return fmt.Sprintf("kubectl rollout restart %s --namespace %s", s.Controller, s.Namespace)
	case kind == "cronjob":
		name := strings.TrimPrefix(s.Controller, "cronjob/")
		return fmt.Sprintf("kubectl create job --from=%s %s-again --namespace %s", s.Controller, name, s.Namespace)
	case s.Controller != "":
		return fmt.Sprintf("kubectl delete pod %s --namespace %s", s.Live.Name, s.Namespace) // its controller makes another one
	default:
		return fmt.Sprintf("kubectl get pod %s --namespace %s --output yaml | kubectl replace --force -f -", s.Live.Name, s.Namespace)
	}
}

// andAgain is a command, and again where a pod is there.
func (s *Snapshot) andAgain(command string) string {
	if again := s.again(); again != "" {
		return command + " && " + again
	}
	return command
}

// change changes an annotation of the pod, or of the pods of the object: KEY=VALUE, or KEY-
// to remove it, as kubectl annotate has it.
func (s *Snapshot) change(annotation string) string {
	kind, _, _ := strings.Cut(s.owner(), "/")
	switch {
	case s.File != "":
		return s.edit()
	case kind == "pod":
		return s.andAgain(fmt.Sprintf("kubectl annotate %s --namespace %s --overwrite %s", s.owner(), s.Namespace, annotation))
	case slices.Contains([]string{"deployment", "statefulset", "daemonset"}, kind):
		value := "null"
		key, text, found := strings.Cut(annotation, "=")
		if found {
			value = fmt.Sprintf("%q", text)
		} else {
			key = strings.TrimSuffix(key, "-")
		}
		// The change of the template alone has the pods be made again.
		return fmt.Sprintf(`kubectl patch %s --namespace %s --type merge `+
			`--patch '{"spec":{"template":{"metadata":{"annotations":{%q:%s}}}}}'`,
			s.owner(), s.Namespace, key, value)
	default:
		return s.edit()
	}
}

// edit has the object edited: where it is in a file, that.
func (s *Snapshot) edit() string {
	file := s.File
	if file == "" {
		return fmt.Sprintf("kubectl edit %s --namespace %s", s.owner(), s.Namespace)
	}
	if !plain.MatchString(strings.TrimLeft(file, "./")) {
		file = "FILE"
	}
	return fmt.Sprintf(`${EDITOR:-vi} %s && kubectl apply --namespace %s --filename %[1]s`, file, s.Namespace)
}

// owner is the object in which the pod is to be changed.
func (s *Snapshot) owner() string {
	if s.Controller != "" {
		return s.Controller
	}
	return s.Of
}

// annotate has the pod ask for a token.
func (s *Snapshot) annotate() string {
	if len(s.Above) > 0 { // it has annotations, in the wrong place
		return s.correct("")
	}
	return s.change(s.Webhook.Prefix.Key(annotations.Audience, "") + "=AUDIENCE")
}

// correct is a command to correct what is at a path of an error: an annotation, or a
// binding of the configuration.
func (s *Snapshot) correct(path string) string {
	if i := s.Webhook.Installation; i != nil && i.ConfigMap != "" && strings.HasPrefix(path, "bindings[") {
		return fmt.Sprintf("kubectl edit configmap %s --namespace %s", i.ConfigMap, i.Namespace)
	}
	if p := s.Webhook.Policies; p != nil && p.Release != "" && strings.HasPrefix(path, "bindings[") {
		return fmt.Sprintf("helm upgrade %s charts/oidc-injector --namespace %s --reuse-values --values FILE", p.Release, p.Namespace)
	}
	if s.File == "" && s.owner() == s.Of && strings.HasPrefix(s.Of, "pod/") {
		return s.andAgain(s.edit())
	}
	return s.edit()
}

func age(s *Snapshot) string { return roughly(s.Now, s.Live.CreationTimestamp.Time) }

func roughly(now, then time.Time) string { return report.Rough(max(now.Sub(then), 0)) }
