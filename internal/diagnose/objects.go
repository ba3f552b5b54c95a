package diagnose

import (
	"fmt"
	"slices"

	"github.com/oidc-injector/oidc-injector/internal/admission"
	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// WantedConfigMaps are those that the pod's login containers mount, as the pod asks for it. A pod
// does not start without them.
func (s *Snapshot) WantedConfigMaps() []string {
	status, _ := s.status()
	d, err := s.decide(AsCreated(s.Pod, s.Webhook.Prefix), status.Version)
	if err != nil {
		return nil
	}
	var names []string
	for _, o := range authorities(d) {
		names = append(names, o.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// authorities are the entries of ConfigMaps by which logins verify relying parties, in their order.
func authorities(d admission.Decision) []annotations.Object {
	var all []annotations.Object
	for i := range d.Logins {
		if ca := d.Logins[i].CA; ca != nil && ca.Kind == annotations.ConfigMap && !slices.Contains(all, *ca) {
			all = append(all, *ca)
		}
	}
	return all
}

// objects says whether what the login containers mount is there. Secrets are not read for that.
func (s *Snapshot) objects(d admission.Decision) []Step {
	var steps []Step
	for _, o := range authorities(d) {
		found, read := s.ConfigMaps[o.Name]
		name := "ConfigMap " + o.Name
		create := fmt.Sprintf("kubectl create configmap %s --namespace %s --from-file=%s=FILE", o.Name, s.Namespace, o.Key)
		if !plain.MatchString(o.Name) || !plain.MatchString(o.Key) {
			create = ""
		}
		switch {
		case !read || found.Unread != "":
			steps = append(steps, unknown(name, "%s", found.Unread))
		case !found.Found:
			steps = append(steps, fail(name, create, "is not there: without the certificate authorities that %s names, "+
				"the pod does not start", s.Webhook.Prefix.Key(o.Annotated(), "")))
		case !slices.Contains(found.Keys, o.Key):
			if create != "" {
				create += " --dry-run=client --output yaml | kubectl apply -f -"
			}
			steps = append(steps, fail(name, create, "has no key %s for the certificate authorities", o.Key))
		default:
			steps = append(steps, pass(name, "has %s", o.Key))
		}
	}
	return steps
}
