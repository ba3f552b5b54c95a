package diagnose

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// logins say how the login containers are, and what they said last.
func (s *Snapshot) logins(d admission.Decision) []Step {
	if s.Live == nil {
		return nil
	}
	var steps []Step
	for _, c := range slices.Concat(s.Live.Status.InitContainerStatuses, s.Live.Status.ContainerStatuses) {
		if named(c.Name, s.Webhook.Prefix.Names().LoginContainer) {
			steps = append(steps, s.login(&c, s.loginOf(d, c.Name)))
		}
	}
	return steps
}

// loginOf is the login of a container, as the pod asks for it; nil where it does so no more.
func (s *Snapshot) loginOf(d admission.Decision, container string) *annotations.Login {
	base := s.Webhook.Prefix.Names().LoginContainer
	for i := range d.Logins {
		if annotations.Name(base, d.Logins[i].Name, "") == container {
			return &d.Logins[i]
		}
	}
	return nil
}

func (s *Snapshot) login(c *corev1.ContainerStatus, l *annotations.Login) Step {
	logs := fmt.Sprintf("kubectl logs %s --container %s --namespace %s", s.Live.Name, c.Name, s.Namespace)
	said := s.lastWords(c)
	words := ""
	if said != "" {
		words = "; its last words: " + shorten(said)
	}
	switch state := c.State; {
	case state.Running != nil && c.Started != nil && *c.Started:
		return pass(c.Name, "logged in, restarted %d times%s", c.RestartCount, words)
	case state.Running != nil:
		return fail(c.Name, cmp.Or(s.allow(l, said), logs), "not logged in yet, %s after its start%s",
			roughly(s.Now, state.Running.StartedAt.Time), words)
	case state.Terminated != nil && state.Terminated.ExitCode == 0:
		return pass(c.Name, "logged in, and ended%s", words)
	case state.Terminated != nil:
		return fail(c.Name, cmp.Or(s.allow(l, said), logs), "ended with exit code %d%s", state.Terminated.ExitCode, words)
	case state.Waiting != nil && state.Waiting.Reason == "PodInitializing":
		if mount := s.failedMount(); mount != "" {
			return fail(c.Name, "", "cannot start: %s", shorten(mount))
		}
		return unknown(c.Name, "waits for the init containers before it%s", words)
	case state.Waiting != nil:
		fix := logs
		if c.RestartCount == 0 { // it has no log
			fix = fmt.Sprintf("kubectl describe pod %s --namespace %s", s.Live.Name, s.Namespace)
		}
		return fail(c.Name, cmp.Or(s.allow(l, said), fix), "waits (%s), restarted %d times%s",
			strings.TrimSuffix(state.Waiting.Reason+": "+shorten(state.Waiting.Message), ": "),
			c.RestartCount, words)
	default:
		return unknown(c.Name, "its state is not known")
	}
}

// lastWords are what a container left as its termination message; of one that runs on, those of
// its startup probe, which says why there is no login yet.
func (s *Snapshot) lastWords(c *corev1.ContainerStatus) string {
	for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
		if t != nil && strings.TrimSpace(t.Message) != "" && (c.State.Running == nil || c.Started != nil && *c.Started) {
			return strings.TrimSpace(t.Message)
		}
	}
	probe := s.newest(func(e *Event) bool { return e.Container == c.Name && e.Reason == "Unhealthy" })
	if probe == nil || c.Started != nil && *c.Started {
		return ""
	}
	text := probe.Message
	for _, before := range []string{"(combined from similar events): ", "Startup probe failed: ", "not logged in yet: "} {
		text = strings.TrimPrefix(text, before)
	}
	return strings.TrimSpace(text)
}

// failedMount is why the kubelet cannot mount a volume of the pod; empty where it can.
func (s *Snapshot) failedMount() string {
	if e := s.newest(func(e *Event) bool { return e.Object == "pod/"+s.Live.Name && e.Reason == "FailedMount" }); e != nil {
		return e.Message
	}
	return ""
}

// newest is the newest event of some; nil for none.
func (s *Snapshot) newest(of func(*Event) bool) *Event {
	var found *Event
	for i := range s.Events {
		if e := &s.Events[i]; of(e) && (found == nil || e.Last.After(found.Last)) {
			found = e
		}
	}
	return found
}

// Vault answers a login so where the role is not there (builtin/credential/jwt, path_login.go),
// and where it is, with what it has against the token.
var (
	noRole  = regexp.MustCompile(`role \\*"[^"]*" could not be found`)
	refused = regexp.MustCompile(`\b40[03]: `)
)

// allow has the relying party let the pod in where it refuses that, by what the login said: it
// makes the role that is missing, or says what the role has against the token. It is empty
// where neither can be done by a command.
func (s *Snapshot) allow(l *annotations.Login, said string) string {
	if l == nil || l.Method != loginspec.MethodVault {
		return ""
	}
	token := ""
	if l.Token != "" {
		token = " --token " + l.Token
	}
	switch {
	case noRole.MatchString(said):
		return fmt.Sprintf("kubectl oidc-injector generate vault %s --namespace %s%s | sh", s.owner(), s.Namespace, token)
	case refused.MatchString(said):
		mount := strings.Trim(cmp.Or(l.Options[loginspec.Mount], "jwt"), "/")
		address, role := l.Options[loginspec.Address], fmt.Sprintf("auth/%s/role/%s", mount, l.Options[loginspec.Role])
		if !plainURL.MatchString(address) || !plain.MatchString(role) {
			return ""
		}
		// Who administers Vault may reach it at another address than pods do.
		return fmt.Sprintf("kubectl oidc-injector token create %s --namespace %s%s --print | kubectl oidc-injector token verify "+
			`--from-cluster --against vault-role "${VAULT_ADDR:-%s}/v1/%s"`, s.Live.Name, s.Namespace, token, address, role)
	default:
		return ""
	}
}

// plainURL are URLs that a shell takes as they are.
var plainURL = regexp.MustCompile(`^https?://[A-Za-z0-9._:/\[\]-]+$`)
