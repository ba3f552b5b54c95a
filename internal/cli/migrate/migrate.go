// Package migrate moves what manifests say to other injectors, the peers, into
// annotations of ours. It is pure: values in, values out.
//
// A peer is a row of [Peers] and a file of its own, which names the sources of what the
// peer reads and does.
package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Metadata is what peers read of an object.
type Metadata struct {
	Annotations map[string]string `json:"annotations"`
	Labels      map[string]string `json:"labels"`
}

// Account is a ServiceAccount.
type Account struct {
	Namespace, Name string
	Metadata
}

// Pod is a pod, or the template of pods.
type Pod struct {
	Namespace string
	// Account is the name of its ServiceAccount.
	Account string
	Metadata
	// Selector are the labels by which its workload finds its pods.
	Selector map[string]string
}

// Defaults are what manifests leave to a peer's own configuration. What is empty is not
// known.
type Defaults struct {
	AWSRegion, AzureTenantID, VaultAddress, VaultAudience string
}

// Options say how to move.
type Options struct {
	Defaults
	// Key is the full name of an annotation of ours, by its name without the prefix.
	Key func(name string) string
	// Check says what the webhook would find wrong with annotations, by their names
	// without the prefix.
	Check func(all map[string]string) []string
}

// Kind says what a finding means.
type Kind string

const (
	// Stays means that nothing of what the object says to the peer is moved.
	Stays Kind = "stays"
	// Lost means that it is moved, but for this.
	Lost Kind = "lost"
	// ToDo means that it is moved, and that there is something to do elsewhere, or to know.
	ToDo Kind = "todo"
)

// Finding is something that is not as it was.
type Finding struct {
	Kind Kind
	// Field is the annotation or label, if it is about one. Label and OfAccount say
	// which it is, and of what.
	Field            string
	Label, OfAccount bool
	Reason           string
}

// input is what a peer decides by.
type input struct {
	// account is nil where its manifest is not known.
	account *Account
	pod     Pod
	Defaults
}

// move is what becomes of that.
type move struct {
	// annotations are ours, without their prefix.
	annotations map[string]string
	findings    []Finding
}

func (m *move) set(key, value string) {
	if m.annotations == nil {
		m.annotations = map[string]string{}
	}
	m.annotations[key] = value
}

func (m *move) find(kind Kind, name, format string, args ...any) {
	m.findings = append(m.findings, Finding{Kind: kind, Field: name, Reason: fmt.Sprintf(format, args...)})
}

// locate says of what the fields of the findings are.
func (m *move) locate(in input) {
	for i := range m.findings {
		f := &m.findings[i]
		_, annotation := in.pod.Annotations[f.Field]
		_, label := in.pod.Labels[f.Field]
		f.Label = label && !annotation
		if in.account != nil && !annotation && !label {
			_, f.OfAccount = in.account.Annotations[f.Field]
		}
	}
}

func (m *move) stays() bool {
	return slices.ContainsFunc(m.findings, func(f Finding) bool { return f.Kind == Stays })
}

// Peer is another injector.
type Peer struct {
	// Name is that of its project.
	Name string
	// Moves and Leaves say for the documentation what is moved, and what is not.
	Moves, Leaves string
	// token is the name of the token that its pods get from us.
	token string
	// owns reports whether it reads an annotation, or a label, of this name.
	owns func(name string) bool
	// asks reports whether a pod asks the peer for something.
	asks func(in input) bool
	// byAccount reports whether a ServiceAccount asks for all of its pods, or for those
	// with the labels. It is nil for a peer that reads pods alone.
	byAccount func(a *Account) bool
	labels    map[string]string
	move      func(in input) move
}

// Peers are those that are known.
var Peers = []Peer{aws, azure, gcp, vault}

// Edit is what changes in an object.
type Edit struct {
	// Annotations and Labels are the names of those that go.
	Annotations, Labels []string
	// Add are annotations that come, by their full names.
	Add map[string]string
}

// Outcome is what becomes of an object.
type Outcome struct {
	Edit     Edit
	Findings []PeerFinding
}

// PeerFinding is a finding about what an object says to a peer.
type PeerFinding struct {
	Peer string
	Finding
}

// Plan moves what ServiceAccounts say into the pods that use them, and what pods say. Its
// results are in the order of the arguments. What a ServiceAccount says goes once it is in
// all of the pods, and stays where no pod uses it.
func Plan(accounts []Account, pods []Pod, o Options) (ofAccounts, ofPods []Outcome) {
	ofAccounts, ofPods = make([]Outcome, len(accounts)), make([]Outcome, len(pods))
	index := map[[2]string]int{}
	for i := range accounts {
		index[[2]string{accounts[i].Namespace, accounts[i].Name}] = i
	}
	for p := range Peers {
		peer := &Peers[p]
		used, stuck := map[int]bool{}, map[int]bool{}
		for i := range pods {
			in, of := input{pod: pods[i], Defaults: o.Defaults}, -1
			if at, known := index[[2]string{pods[i].Namespace, pods[i].Account}]; known {
				in.account, of = &accounts[at], at
			}
			if moved, asked := peer.plan(in, &ofPods[i], o); asked && peer.byAccount != nil {
				used[of] = true
				stuck[of] = stuck[of] || !moved
			}
		}
		for i := range accounts {
			ofAccounts[i].settle(peer, &accounts[i], used[i], stuck[i])
		}
	}
	return ofAccounts, ofPods
}

// plan has a peer decide about a pod. It is moved where nothing of it stays.
func (p *Peer) plan(in input, to *Outcome, o Options) (moved, asked bool) {
	own := p.own(in.pod.Annotations)
	if !p.asks(in) {
		if len(own) > 0 && in.account == nil && p.byAccount != nil {
			reason := fmt.Sprintf("ServiceAccount %q is not among the manifests", in.pod.Account)
			to.add(p, Finding{Kind: Stays, Field: own[0], Reason: reason})
		}
		return false, false
	}
	m := p.move(in)
	m.check(in, o)
	m.locate(in)
	for _, f := range m.findings {
		if !m.stays() || f.Kind == Stays { // what else would be lost does not matter then
			to.add(p, f)
		}
	}
	if m.stays() {
		return false, true
	}
	to.Edit.Annotations = append(to.Edit.Annotations, own...)
	for _, label := range p.own(in.pod.Labels) {
		if _, selected := in.pod.Selector[label]; selected {
			reason := "it is kept, as the workload's selector asks for it, which cannot be changed"
			to.add(p, Finding{Kind: ToDo, Field: label, Label: true, Reason: reason})
			continue
		}
		to.Edit.Labels = append(to.Edit.Labels, label)
	}
	for name, value := range m.annotations {
		if to.Edit.Add == nil {
			to.Edit.Add = map[string]string{}
		}
		to.Edit.Add[o.Key(name)] = value
	}
	return true, true
}

// check looks for what the webhook would find wrong, and for what the pod says itself.
func (m *move) check(in input, o Options) {
	if m.stays() {
		return
	}
	for _, problem := range o.Check(m.annotations) {
		m.find(Stays, "", "%s", problem)
	}
	for _, name := range slices.Sorted(maps.Keys(m.annotations)) {
		key := o.Key(name)
		if value, there := in.pod.Annotations[key]; there && value != m.annotations[name] {
			m.find(Stays, key, "the pod says %q already, and not %q", value, m.annotations[name])
		}
	}
}

// settle decides about a ServiceAccount after its pods.
func (to *Outcome) settle(p *Peer, a *Account, used, stuck bool) {
	switch {
	case p.byAccount == nil || !p.byAccount(a):
	case !used:
		to.add(p, Finding{
			Kind: Stays, Field: p.own(a.Annotations)[0],
			Reason: "no pod among the manifests uses this ServiceAccount: give its workloads, too, or make bindings of it (--bindings)",
		})
	case stuck:
		to.add(p, Finding{Kind: Stays, Field: p.own(a.Annotations)[0], Reason: "a pod that uses this ServiceAccount stays with the peer"})
	default:
		to.Edit.Annotations = append(to.Edit.Annotations, p.own(a.Annotations)...)
		to.Edit.Labels = append(to.Edit.Labels, p.own(a.Labels)...)
	}
}

func (to *Outcome) add(p *Peer, f Finding) {
	to.Findings = append(to.Findings, PeerFinding{p.Name, f})
}

// own are the names that the peer reads, sorted.
func (p *Peer) own(all map[string]string) []string { return owned(all, p.owns) }

func owned(all map[string]string, owns func(name string) bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if owns(name) {
			names = append(names, name)
		}
	}
	return names
}

// oneOf is owns for a domain that others use, too.
func oneOf(domain string, keys ...string) func(name string) bool {
	return func(name string) bool {
		key, found := strings.CutPrefix(name, domain+"/")
		return found && slices.Contains(keys, key)
	}
}

// all is owns for a domain of the peer's own.
func all(domain string) func(name string) bool {
	return func(name string) bool { return strings.HasPrefix(name, domain+"/") }
}
