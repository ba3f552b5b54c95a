package shapes

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/yaml"
)

// entry is a base, or a feature that is merged into one.
type entry struct {
	// Spec is that of a pod, or a part of one.
	Spec map[string]any `json:"spec"`
	// Refused says why the API server does not take it.
	Refused string `json:"refused"`
	// Denied are the variants that the webhook denies.
	Denied []string `json:"denied"`
	// Alone says why it is not combined with other features and bases.
	Alone string `json:"alone"`
	// Mesh is the container of a service mesh that a base has.
	Mesh string `json:"mesh"`
}

// single reports whether an entry comes in the plain base and no other.
func (e entry) single() bool { return e.Refused != "" || e.Alone != "" || len(e.Denied) > 0 }

// shape is a pod.
type shape struct {
	name string
	spec corev1.PodSpec
	// known says that the outcome is known: refused and denied are that of the only
	// feature. The API server may refuse a combination for reasons of its own.
	known   bool
	refused bool
	denied  []string
	// injected is the container of a mesh, if the pod has one.
	injected string
}

// corpus is made of every feature in the plain base, every base alone, features in
// other bases, and pairs of features.
func corpus(t *testing.T) []shape {
	t.Helper()
	bases, features := readEntries(t, "bases.yaml"), readEntries(t, "features.yaml")
	maps.Copy(features, volumeFeatures(t))
	shapes := []shape{giant()}
	for _, name := range slices.Sorted(maps.Keys(bases)) {
		shapes = append(shapes, compose(t, name, bases[name]))
	}
	var free []string // features that can be combined
	for _, name := range slices.Sorted(maps.Keys(features)) {
		feature := features[name]
		s := compose(t, "plain+"+name, bases["plain"], feature)
		s.refused, s.denied = feature.Refused != "", feature.Denied
		shapes = append(shapes, s)
		if !feature.single() {
			free = append(free, name)
		}
	}
	return append(shapes, combinations(t, bases, features, free)...)
}

// combinations puts each feature into one more base, and adds to it another one,
// which is far away in the order of the alphabet.
func combinations(t *testing.T, bases, features map[string]entry, free []string) []shape {
	t.Helper()
	var shapes []shape
	others := slices.DeleteFunc(slices.Sorted(maps.Keys(bases)), func(name string) bool { return name == "plain" })
	for i, name := range free {
		base := others[i%len(others)]
		second := free[(i+len(free)/3)%len(free)]
		for _, s := range []shape{
			compose(t, base+"+"+name, bases[base], features[name]),
			compose(t, "plain+"+name+"+"+second, bases["plain"], features[name], features[second]),
		} {
			s.known = false
			shapes = append(shapes, s)
		}
	}
	return shapes
}

func readEntries(t *testing.T, file string) map[string]entry {
	t.Helper()
	var entries map[string]entry
	read(t, file, &entries)
	return entries
}

// volumeFeatures mount each kind of volume in the container "app".
func volumeFeatures(t *testing.T) map[string]entry {
	t.Helper()
	var sources map[string]map[string]any
	read(t, "volumes.yaml", &sources)
	features := make(map[string]entry, len(sources))
	for name, source := range sources {
		volume := map[string]any{"name": name}
		maps.Copy(volume, source)
		mount := map[string]any{"name": name, "mountPath": "/mnt/" + name}
		features["volume-"+name] = entry{Spec: map[string]any{
			"containers": []any{map[string]any{"name": "app", "volumeMounts": []any{mount}}}, "volumes": []any{volume},
		}}
	}
	return features
}

func read(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", file))
	if err == nil {
		err = yaml.UnmarshalStrict(content, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// compose merges features into a base, as `kubectl patch` would.
func compose(t *testing.T, name string, base entry, features ...entry) shape {
	t.Helper()
	merged := base.Spec
	for _, feature := range features {
		original, patch := mustJSON(t, merged), mustJSON(t, feature.Spec)
		result, err := strategicpatch.StrategicMergePatch(original, patch, corev1.PodSpec{})
		merged = nil
		if err == nil {
			err = json.Unmarshal(result, &merged)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	s := shape{name: name, known: true, injected: base.Mesh}
	if err := yaml.UnmarshalStrict(mustJSON(t, merged), &s.spec); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// giant has more containers than any node would run.
func giant() shape {
	s := shape{name: "giant", known: true}
	for i := range 500 {
		s.spec.Containers = append(s.spec.Containers, corev1.Container{Name: "c" + strconv.Itoa(i), Image: "a"})
	}
	for i := range 50 {
		s.spec.InitContainers = append(s.spec.InitContainers, corev1.Container{Name: fmt.Sprintf("init%d", i), Image: "a"})
	}
	return s
}
