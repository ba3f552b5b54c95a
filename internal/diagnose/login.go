package diagnose

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// logins say how the login containers are, and what they said last.
func (s *Snapshot) logins() []Step {
	if s.Live == nil {
		return nil
	}
	var steps []Step
	for _, c := range slices.Concat(s.Live.Status.InitContainerStatuses, s.Live.Status.ContainerStatuses) {
		if named(c.Name, s.Webhook.Prefix.Names().LoginContainer) {
			steps = append(steps, s.login(&c))
		}
	}
	return steps
}

func (s *Snapshot) login(c *corev1.ContainerStatus) Step {
	logs := fmt.Sprintf("kubectl logs %s --container %s --namespace %s", s.Live.Name, c.Name, s.Namespace)
	words := lastWords(c)
	switch state := c.State; {
	case state.Running != nil && c.Started != nil && *c.Started:
		return pass(c.Name, "logged in, restarted %d times%s", c.RestartCount, words)
	case state.Running != nil:
		return fail(c.Name, logs, "not logged in yet, %s after its start%s", roughly(s.Now, state.Running.StartedAt.Time), words)
	case state.Terminated != nil && state.Terminated.ExitCode == 0:
		return pass(c.Name, "logged in, and ended%s", words)
	case state.Terminated != nil:
		return fail(c.Name, logs, "ended with exit code %d%s", state.Terminated.ExitCode, words)
	case state.Waiting != nil && state.Waiting.Reason == "PodInitializing":
		return unknown(c.Name, "waits for the init containers before it%s", words)
	case state.Waiting != nil:
		fix := logs
		if c.RestartCount == 0 { // it has no log
			fix = fmt.Sprintf("kubectl describe pod %s --namespace %s", s.Live.Name, s.Namespace)
		}
		return fail(c.Name, fix, "waits (%s), restarted %d times%s",
			strings.TrimSuffix(state.Waiting.Reason+": "+shorten(state.Waiting.Message), ": "),
			c.RestartCount, words)
	default:
		return unknown(c.Name, "its state is not known")
	}
}

// lastWords are what a container left as its termination message.
func lastWords(c *corev1.ContainerStatus) string {
	for _, t := range []*corev1.ContainerStateTerminated{c.State.Terminated, c.LastTerminationState.Terminated} {
		if t != nil && strings.TrimSpace(t.Message) != "" {
			return "; its last words: " + shorten(strings.TrimSpace(t.Message))
		}
	}
	return ""
}
