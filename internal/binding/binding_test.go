package binding

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// labels are those of a pod.
type labels map[string]string

func (l labels) Get(name string) (string, bool) {
	value, exists := l[name]
	return value, exists
}

func TestMatch(t *testing.T) {
	t.Parallel()
	set := NewSet([]Selector{
		0: {Namespaces: []string{"shop"}, ServiceAccounts: []string{"app"}},
		1: {Namespaces: []string{"shop", "shop"}, ServiceAccounts: []string{"app", "worker"}},
		2: {Namespaces: []string{"shop-*"}, ServiceAccounts: []string{"app"}},
		3: {Namespaces: []string{"shop"}, ServiceAccounts: []string{"*"}},
		4: {Namespaces: []string{"s???"}, ServiceAccounts: []string{"a*"}},
		5: {Namespaces: []string{"shop"}, ServiceAccounts: []string{"app"}, PodLabels: map[string]string{"a": "b", "c": ""}},
	})
	for _, tt := range []struct {
		namespace, name string
		labels          labels
		want            []int
	}{
		{"shop", "app", nil, []int{0, 1, 3, 4}},
		{"shop", "worker", nil, []int{1, 3}},
		{"shop-eu", "app", nil, []int{2}},
		{"shop-eu", "worker", nil, nil},
		{"other", "app", nil, nil},
		{"ship", "app", nil, []int{4}},
		{"shop", "app", labels{"a": "b", "c": "", "d": "e"}, []int{0, 1, 3, 4, 5}},
		{"shop", "app", labels{"a": "b"}, []int{0, 1, 3, 4}},
		{"shop", "app", labels{"a": "b", "c": "d"}, []int{0, 1, 3, 4}},
	} {
		if got := set.Match(tt.namespace, tt.name, tt.labels); !slices.Equal(got, tt.want) {
			t.Errorf("%s/%s with %v: %v, want %v", tt.namespace, tt.name, tt.labels, got, tt.want)
		}
	}
	if got, want := set.MayMatch("shop", labels{}), []int{0, 1, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("may match %v, want %v", got, want)
	}
	var none *Set
	if none.Match("shop", "app", labels{}) != nil || none.MayMatch("shop", labels{}) != nil {
		t.Error("no set matches")
	}
}

// TestIndex compares with trying every selector, for random ones, and overlaps with
// trying every pod.
func TestIndex(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	names := []string{"a", "b", "ab", "ba"}
	patterns := append([]string{"*", "?", "a*", "*b", "?a"}, names...)
	choose := func(from []string) []string {
		var chosen []string
		for range 1 + random.IntN(3) {
			chosen = append(chosen, from[random.IntN(len(from))])
		}
		return chosen
	}
	values := []labels{nil, {"x": "1"}, {"x": "2"}, {"x": "1", "y": "1"}}
	for range 300 {
		selectors := make([]Selector, 1+random.IntN(12))
		for i := range selectors {
			from := [][]string{names, patterns}
			selectors[i] = Selector{
				Namespaces: choose(from[random.IntN(2)]), ServiceAccounts: choose(from[random.IntN(2)]),
				PodLabels: values[random.IntN(len(values))],
			}
		}
		set := NewSet(selectors)
		together := map[[2]int]bool{}
		for _, namespace := range names {
			for _, name := range names {
				for _, l := range values {
					var want []int
					for i := range set.selectors {
						if set.selectors[i].matches(namespace, name, l) {
							want = append(want, i)
						}
					}
					got := set.Match(namespace, name, l)
					if !slices.Equal(got, want) {
						t.Fatalf("%+v: %s/%s with %v: %v, want %v", selectors, namespace, name, l, got, want)
					}
					for _, j := range got {
						for _, i := range got {
							together[[2]int{i, j}] = true
						}
					}
				}
			}
		}
		overlapping := map[[2]int]bool{}
		set.Overlaps(func(i, j int) bool { overlapping[[2]int{i, j}] = true; return true })
		for pair := range together {
			if pair[0] < pair[1] && !overlapping[pair] {
				t.Fatalf("%+v: %v match the same pod, and do not overlap", selectors, pair)
			}
		}
	}
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	base := Selector{Namespaces: []string{"shop-*"}, ServiceAccounts: []string{"app"}, PodLabels: map[string]string{"a": "b"}}
	for _, tt := range []struct {
		other Selector
		want  bool
	}{
		{Selector{Namespaces: []string{"*-eu"}, ServiceAccounts: []string{"a*"}}, true},
		{Selector{Namespaces: []string{"*-eu"}, ServiceAccounts: []string{"b*"}}, false},
		{Selector{Namespaces: []string{"shop"}, ServiceAccounts: []string{"app"}}, false},
		{Selector{Namespaces: []string{"shop-1"}, ServiceAccounts: []string{"app"}, PodLabels: map[string]string{"c": "d"}}, true},
		{Selector{Namespaces: []string{"shop-1"}, ServiceAccounts: []string{"app"}, PodLabels: map[string]string{"a": "c"}}, false},
	} {
		got := false
		NewSet([]Selector{base, tt.other}).Overlaps(func(int, int) bool { got = true; return true })
		if got != tt.want {
			t.Errorf("overlaps %+v: %t", tt.other, got)
		}
	}
}

func TestSelectorsThatAreWrong(t *testing.T) {
	t.Parallel()
	s := Selector{
		Namespaces: []string{"Shop", "", "a.b", "team-*", "?"}, PodLabels: map[string]string{"a b": "c", "d": "e f"},
	}
	var got []string
	for _, err := range s.Validate(field.NewPath("b")) {
		before, _, _ := strings.Cut(err.Error(), ": a ")
		got = append(got, before)
	}
	want := []string{
		`b.namespaces[0]: Invalid value: "Shop"`, `b.namespaces[1]: Invalid value: "": must not be empty`,
		`b.namespaces[2]: Invalid value: "a.b": must not contain dots`,
		`b.serviceAccounts: Required value: names or patterns; "*" stands for all`,
		`b.podLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end ` +
			`with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is ` +
			`'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
		`b.podLabels[d]: Invalid value: "e f"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	s = Selector{Namespaces: make([]string, 101), ServiceAccounts: []string{"*"}}
	if errs := s.Validate(field.NewPath("b")); len(errs) != 1 || errs[0].Type != field.ErrorTypeTooMany {
		t.Errorf("errors %v", errs)
	}
}

func TestMatchCondition(t *testing.T) {
	t.Parallel()
	const (
		annotated = `has(object.metadata.annotations) && object.metadata.annotations.exists(key, key.startsWith("p.example/"))`
		account   = `(request.namespace + "/" + object.spec.?serviceAccountName.orValue("default"))`
	)
	for _, tt := range []struct {
		selectors []Selector
		want      string
	}{
		{nil, annotated},
		{
			[]Selector{
				{Namespaces: []string{"b", "a"}, ServiceAccounts: []string{"app"}},
				{Namespaces: []string{"a"}, ServiceAccounts: []string{"app", "x.y"}},
			},
			annotated + " || " + account + ` in ["a/app","a/x.y","b/app"]`,
		},
		{
			[]Selector{
				{Namespaces: []string{"a-*", "b"}, ServiceAccounts: []string{"x.?"}},
				{Namespaces: []string{"c"}, ServiceAccounts: []string{"d"}},
			},
			annotated + " || " + account + ` in ["c/d"] || ` + account + `.matches("^((a-[^/]*|b)/(x\\.[^/]))$")`,
		},
		{
			[]Selector{{Namespaces: []string{"a"}, ServiceAccounts: []string{"b"}, PodLabels: map[string]string{"y": "2", "x": ""}}},
			annotated + " || (" + account + ` in ["a/b"]) && object.metadata.?labels[?"x"] == optional.of("")` +
				` && object.metadata.?labels[?"y"] == optional.of("2")`,
		},
		{
			[]Selector{
				{Namespaces: []string{"b"}, ServiceAccounts: []string{"b"}, PodLabels: map[string]string{"x": "1"}},
				{Namespaces: []string{"a"}, ServiceAccounts: []string{"b"}, PodLabels: map[string]string{"x": "1"}},
				{Namespaces: []string{"b"}, ServiceAccounts: []string{"b"}, PodLabels: map[string]string{"x": "1"}},
			},
			annotated + " || (" + account + ` in ["a/b"]) && object.metadata.?labels[?"x"] == optional.of("1")` +
				" || (" + account + ` in ["b/b"]) && object.metadata.?labels[?"x"] == optional.of("1")`,
		},
	} {
		if diff := cmp.Diff(tt.want, MatchCondition("p.example", tt.selectors)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.selectors, diff)
		}
	}
}

// BenchmarkMatch has as many selectors of each kind as a large cluster may have.
func BenchmarkMatch(b *testing.B) {
	of := func(kind string, selector func(i int) Selector) {
		selectors := []Selector{}
		for i := range 1000 {
			selectors = append(selectors, selector(i))
		}
		set := NewSet(selectors)
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := set.Match("team-500", "app-500", labels{}); len(got) != 1 {
					b.Fatal(got)
				}
			}
		})
	}
	of("exact", func(i int) Selector {
		return Selector{Namespaces: []string{fmt.Sprintf("team-%d", i)}, ServiceAccounts: []string{fmt.Sprintf("app-%d", i)}}
	})
	of("one-namespace", func(i int) Selector {
		return Selector{Namespaces: []string{"team-500"}, ServiceAccounts: []string{fmt.Sprintf("app-%d*", i+500)}}
	})
	of("patterns", func(i int) Selector {
		return Selector{Namespaces: []string{fmt.Sprintf("team-%d*", i+500)}, ServiceAccounts: []string{fmt.Sprintf("app-%d*", i+500)}}
	})
}
