package installation

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	admissionclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"

	"github.com/oidc-injector/oidc-injector/internal/config"
)

// Policies are an installation in policy mode: API servers inject by them.
type Policies struct {
	// Name is that of the one that injects; the names of the others begin with it.
	Name string
	// Prefix is that of the annotations.
	Prefix string
	// Config is the InjectorConfig; nil where nobody has recorded it.
	Config []byte
	// Release and Namespace are those of Helm; empty where Helm does not manage them.
	Release, Namespace string
	// Served says that the API server knows MutatingAdmissionPolicies.
	Served bool
	// Injecting and its binding are nil where they are missing.
	Injecting        *admissionregistrationv1.MutatingAdmissionPolicy
	InjectingBinding *admissionregistrationv1.MutatingAdmissionPolicyBinding
	// Validating are the others that are there, by the ends of their names.
	Validating map[string]Validating
}

// Validating is a policy that denies or warns. Its binding is nil where it is missing.
type Validating struct {
	Policy  *admissionregistrationv1.ValidatingAdmissionPolicy
	Binding *admissionregistrationv1.ValidatingAdmissionPolicyBinding
}

// The ends of the names of policies: what they do but to inject and to deny.
const (
	Warnings        = "-warnings"
	DebugContainers = "-debug-containers"
	Workloads       = "-workloads"
)

// String is how the installation is named: NAMESPACE/NAME where Helm manages it.
func (p *Policies) String() string {
	if p.Namespace == "" {
		return p.Name
	}
	return p.Namespace + "/" + p.Name
}

// Called reports whether the installation is meant by a name; all are by an empty one.
func (p *Policies) Called(name string) bool {
	return name == "" || name == p.Name || name == p.String()
}

// FindPolicies finds the policies of a cluster, whatever they are called: by what is in them.
// Those on API servers' own disks are not visible. It needs the right to list
// MutatingAdmissionPolicies, ValidatingAdmissionPolicies and their bindings.
func FindPolicies(ctx context.Context, client admissionclient.AdmissionregistrationV1Interface) ([]*Policies, error) {
	found := map[string]*Policies{}
	at := func(name, prefix string) *Policies {
		if found[name] == nil {
			found[name] = &Policies{Name: name, Prefix: prefix, Served: true, Validating: map[string]Validating{}}
		}
		return found[name]
	}
	served, err := readMutating(ctx, client, at)
	if err != nil {
		return nil, err
	}
	if err := readValidating(ctx, client, at); err != nil {
		return nil, err
	}
	all := slices.SortedFunc(maps.Values(found), func(a, b *Policies) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range all {
		p.Served = served
	}
	return all, nil
}

func readMutating(
	ctx context.Context, client admissionclient.AdmissionregistrationV1Interface, at func(name, prefix string) *Policies,
) (served bool, err error) {
	policies, err := client.MutatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) { // before Kubernetes 1.36
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("could not list MutatingAdmissionPolicies: %w", err)
	}
	bindings, err := client.MutatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false, fmt.Errorf("could not list MutatingAdmissionPolicyBindings: %w", err)
	}
	for i := range policies.Items {
		policy := &policies.Items[i]
		prefix, ours := prefixOf(policy.Spec.Variables)
		if !ours {
			continue
		}
		p := at(policy.Name, prefix)
		p.Injecting = policy
		p.managed(policy)
		for j := range bindings.Items {
			if b := &bindings.Items[j]; b.Spec.PolicyName == policy.Name {
				p.InjectingBinding = b
				if text := b.Annotations[config.Annotation]; text != "" {
					p.Config = []byte(text)
				}
			}
		}
	}
	return true, nil
}

func readValidating(
	ctx context.Context, client admissionclient.AdmissionregistrationV1Interface, at func(name, prefix string) *Policies,
) error {
	policies, err := client.ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{})
	if apierrors.IsNotFound(err) { // of a cluster that switched them off
		return nil
	}
	if err != nil {
		return fmt.Errorf("could not list ValidatingAdmissionPolicies: %w", err)
	}
	bindings, err := client.ValidatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("could not list ValidatingAdmissionPolicyBindings: %w", err)
	}
	for i := range policies.Items {
		policy := &policies.Items[i]
		prefix, ours := prefixOf(policy.Spec.Variables)
		if !ours {
			continue
		}
		name, suffix := split(policy.Name)
		p, v := at(name, prefix), Validating{Policy: policy}
		p.managed(policy)
		for j := range bindings.Items {
			if b := &bindings.Items[j]; b.Spec.PolicyName == policy.Name {
				v.Binding = b
			}
		}
		p.Validating[suffix] = v
	}
	return nil
}

// split takes apart the name of a policy.
func split(full string) (name, suffix string) {
	for _, suffix := range []string{Warnings, DebugContainers, Workloads} {
		if name, found := strings.CutSuffix(full, suffix); found {
			return name, suffix
		}
	}
	return full, ""
}

// prefixOf is the annotations' prefix of a policy of ours, which has these variables of
// internal/policymode.
func prefixOf(variables []admissionregistrationv1.Variable) (prefix string, ours bool) {
	ours = slices.ContainsFunc(variables, func(v admissionregistrationv1.Variable) bool { return v.Name == "grants" })
	i := slices.IndexFunc(variables, func(v admissionregistrationv1.Variable) bool { return v.Name == "prefix" })
	if !ours || i < 0 || json.Unmarshal([]byte(variables[i].Expression), &prefix) != nil {
		return "", false
	}
	return strings.CutSuffix(prefix, "/")
}

// managed notes the Helm release that an object is of.
func (p *Policies) managed(o metav1.Object) {
	if o.GetLabels()["app.kubernetes.io/managed-by"] == "Helm" {
		p.Release, p.Namespace = o.GetAnnotations()["meta.helm.sh/release-name"], o.GetAnnotations()["meta.helm.sh/release-namespace"]
	}
}

// selector selects the namespaces that the injecting policy and its binding are for.
func (p *Policies) selector() (labels.Selector, error) {
	if p.Injecting == nil || p.InjectingBinding == nil {
		return labels.Nothing(), nil
	}
	all := labels.Everything()
	for _, m := range []*admissionregistrationv1.MatchResources{p.Injecting.Spec.MatchConstraints, p.InjectingBinding.Spec.MatchResources} {
		if m == nil || m.NamespaceSelector == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector)
		if err != nil {
			return nil, fmt.Errorf("could not read the namespaceSelector of %s: %w", p.Name, err)
		}
		requirements, _ := selector.Requirements()
		all = all.Add(requirements...)
	}
	return all, nil
}
