package shapes

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// notCovered are the fields that no stored pod can have, each with the reason, as
// TYPE.FIELD, or TYPE for all of its fields.
var notCovered = map[string]string{
	"PodSpec.EphemeralContainers": "the API server refuses them in a new pod; it adds them to running ones",
	"EphemeralContainer":          "see PodSpec.EphemeralContainers",
	"EphemeralContainerCommon":    "see PodSpec.EphemeralContainers",
}

// checkCoverage wants each field of a pod's specification, and of all that it is
// made of, to be set in at least one of the pods as they are stored: a field that the
// API server drops does not count.
func checkCoverage(t *testing.T, pods []*corev1.Pod) {
	t.Helper()
	missing := fields(reflect.TypeFor[corev1.PodSpec]())
	for _, pod := range pods {
		deleteSet(missing, reflect.ValueOf(pod.Spec))
	}
	for name := range notCovered {
		if !missing[name] && len(fieldsOf(missing, name)) == 0 {
			t.Errorf("%s is among the fields that no pod can have, and a pod has it", name)
		}
		delete(missing, name)
		maps.DeleteFunc(missing, func(field string, _ bool) bool { return typeOf(field) == name })
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("no shape sets %s", name)
	}
}

func typeOf(field string) string { return field[:max(0, slices.Index([]byte(field), '.'))] }

func fieldsOf(all map[string]bool, name string) []string {
	var names []string
	for field := range all {
		if typeOf(field) == name {
			names = append(names, field)
		}
	}
	return names
}

// fields are those of a type and of all types of the same package in it.
func fields(root reflect.Type) map[string]bool {
	all := map[string]bool{}
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		switch {
		case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map:
			visit(t.Elem())
		case isOfPods(t) && !seen[t]:
			seen[t] = true
			for field := range t.Fields() {
				all[t.Name()+"."+field.Name] = true
				visit(field.Type)
			}
		}
	}
	visit(root)
	return all
}

func isOfPods(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.PkgPath() == reflect.TypeFor[corev1.Pod]().PkgPath()
}

// deleteSet deletes the fields that have a value.
func deleteSet(missing map[string]bool, value reflect.Value) {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			deleteSet(missing, value.Elem())
		}
	case reflect.Slice:
		for i := range value.Len() {
			deleteSet(missing, value.Index(i))
		}
	case reflect.Struct:
		if !isOfPods(value.Type()) {
			return
		}
		for i := range value.NumField() {
			if !value.Field(i).IsZero() {
				delete(missing, value.Type().Name()+"."+value.Type().Field(i).Name)
				deleteSet(missing, value.Field(i))
			}
		}
	default: // has no fields
	}
}
