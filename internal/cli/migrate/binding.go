package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
)

// Binding gives pods of a ServiceAccount what a peer gives them.
type Binding struct {
	Name        string
	Account     *Account
	PodLabels   map[string]string
	Annotations map[string]string
}

// Bindings makes bindings of what ServiceAccounts say. The findings are in the order of
// the arguments, and those of pods are about what they say themselves: that stays theirs.
func Bindings(accounts []Account, pods []Pod, o Options) (made []Binding, ofAccounts, ofPods []Outcome) {
	ofAccounts, ofPods = make([]Outcome, len(accounts)), make([]Outcome, len(pods))
	taken := map[string]bool{}
	for p := range Peers {
		peer := &Peers[p]
		for i := range accounts {
			a := &accounts[i]
			if peer.byAccount == nil || !peer.byAccount(a) {
				continue
			}
			in := input{account: a, pod: peer.anyPod(a), Defaults: o.Defaults}
			m := peer.move(in)
			m.check(in, o)
			m.locate(in)
			for _, f := range m.findings {
				ofAccounts[i].add(peer, f)
			}
			if m.stays() {
				continue
			}
			made = append(made, Binding{
				Name: bindingName(taken, peer.token, a.Namespace, a.Name), Account: a, PodLabels: peer.labels, Annotations: m.annotations,
			})
		}
		for i := range pods {
			if f, found := peer.besides(accounts, pods[i], o); found {
				ofPods[i].add(peer, f)
			}
		}
	}
	return made, ofAccounts, ofPods
}

// anyPod is one that uses the ServiceAccount and says nothing more than it has to.
func (p *Peer) anyPod(a *Account) Pod {
	return Pod{Namespace: a.Namespace, Account: a.Name, Metadata: Metadata{Labels: p.labels}}
}

// besides finds what a pod says itself, which no binding of its ServiceAccount can say.
func (p *Peer) besides(accounts []Account, pod Pod, o Options) (f Finding, found bool) {
	own := p.own(pod.Annotations)
	if len(own) == 0 {
		return f, false
	}
	f = Finding{Kind: Stays, Field: own[0]}
	if p.byAccount == nil {
		f.Reason = "only the pod says it, and no ServiceAccount: migrate its manifest"
		return f, p.asks(input{pod: pod, Defaults: o.Defaults})
	}
	i := slices.IndexFunc(accounts, func(a Account) bool { return a.Namespace == pod.Namespace && a.Name == pod.Account })
	if i < 0 || !p.byAccount(&accounts[i]) {
		f.Reason = fmt.Sprintf("ServiceAccount %q is not among the manifests, or says nothing to the peer", pod.Account)
		return f, true
	}
	a := &accounts[i]
	all := p.move(input{account: a, pod: p.anyPod(a), Defaults: o.Defaults})
	m := p.move(input{account: a, pod: pod, Defaults: o.Defaults})
	var more []string
	for _, name := range slices.Sorted(maps.Keys(m.annotations)) {
		if m.annotations[name] != all.annotations[name] {
			more = append(more, fmt.Sprintf("%s: %q", o.Key(name), m.annotations[name]))
		}
	}
	f.Reason = "a binding is about all pods of a ServiceAccount: annotate this one with " + strings.Join(more, ", ")
	for _, own := range m.findings {
		if own.Kind == Stays && !all.stays() {
			f.Field, f.Reason = own.Field, own.Reason
		}
	}
	return f, len(more) > 0 || f.Field != own[0] || m.stays()
}

// bindingName is a name of a binding that no other one has.
func bindingName(taken map[string]bool, parts ...string) string {
	name := strings.ReplaceAll(strings.Join(parts, "-"), ".", "-")
	for n := 1; ; n++ {
		end := ""
		if n > 1 {
			end = fmt.Sprintf("-%d", n)
		}
		if one := strings.TrimRight(name[:min(len(name), annotations.MaxBindingName-len(end))], "-") + end; !taken[one] {
			taken[one] = true
			return one
		}
	}
}
