package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/cli/migrate"
)

// migrateFinding is something that migrate found, as -o json prints it. What could not be
// moved is an error.
type migrateFinding struct {
	Severity string `json:"severity"`
	// Kind is stays, lost or todo.
	Kind   migrate.Kind `json:"kind"`
	File   string       `json:"file"`
	Line   int          `json:"line"`
	Object string       `json:"object"`
	Peer   string       `json:"peer"`
	Field  string       `json:"field,omitempty"`
	Reason string       `json:"reason"`
}

// collect makes the list of what was found, in the order of the documents.
func (m *migration) collect(ofAccounts, ofPods []migrate.Outcome) {
	for i := range ofAccounts {
		for _, f := range ofAccounts[i].Findings {
			m.found(&m.ofAccount[i], nil, f)
		}
	}
	for i := range ofPods {
		var account *location
		for j := range m.accounts {
			if m.accounts[j].Namespace == m.pods[i].Namespace && m.accounts[j].Name == m.pods[i].Account {
				account = &m.ofAccount[j]
			}
		}
		for _, f := range ofPods[i].Findings {
			m.found(&m.ofPod[i], account, f)
		}
	}
	order := map[string]int{}
	for i := range m.documents {
		if _, seen := order[m.documents[i].file]; !seen {
			order[m.documents[i].file] = i
		}
	}
	slices.SortStableFunc(m.list, func(a, b migrateFinding) int {
		if a.File != b.File {
			return order[a.File] - order[b.File]
		}
		return a.Line - b.Line
	})
}

// found adds a finding about an object, which may be about a field of its ServiceAccount.
func (m *migration) found(of, account *location, f migrate.PeerFinding) {
	at := of
	if f.OfAccount && account != nil {
		at = account
	}
	in, name := "metadata", ""
	if at.below != "" {
		in = at.below + ".metadata"
	}
	switch {
	case f.Field == "":
	case f.Label:
		name = in + ".labels[" + f.Field + "]"
	default:
		name = in + ".annotations[" + f.Field + "]"
	}
	found := m.documents[at.document].where.at(at.object.Pointer, name)
	severity := severityError
	if f.Kind == migrate.ToDo {
		severity = severityWarning
	}
	m.list = append(m.list, migrateFinding{
		Severity: severity, Kind: f.Kind, File: found.file, Line: found.line, Object: of.object.String(), Peer: f.Peer,
		Field: f.Field, Reason: f.Reason,
	})
}

// tellList prints the list for people.
func (m *migration) tellList() {
	s := m.style()
	words := map[migrate.Kind]string{migrate.Stays: "not moved", migrate.Lost: "lost", migrate.ToDo: "moved"}
	for _, f := range m.list {
		severity := s.Red(f.Severity)
		if f.Severity == severityWarning {
			severity = s.Yellow(f.Severity)
		}
		what := f.Peer
		if f.Field != "" {
			what = f.Field
		}
		fmt.Fprintf(m.ErrOut, "%s: %s: %s: %s: %s: %s\n", place{file: f.File, line: f.Line}, severity, f.Object, what, words[f.Kind],
			strings.ReplaceAll(f.Reason, "\n", " "))
	}
}

func (m *migration) printList() error {
	list := m.list
	if list == nil {
		list = []migrateFinding{}
	}
	text, err := json.MarshalIndent(list, "", "    ")
	if err != nil {
		return fmt.Errorf("could not print the list: %w", err)
	}
	_, err = fmt.Fprintf(m.Out, "%s\n", text)
	return err //nolint:wrapcheck // it names the output
}
