package mutate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apijson "k8s.io/apimachinery/pkg/util/json"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/mutate"
	"github.com/oidc-injector/oidc-injector/internal/mutate/mutatetest"
)

type object = mutatetest.Object

var pods = flag.Uint64("pods", 300, "how many random pods to check")

// TestRandomPods checks what holds for every pod. A failure names the seed,
// which makes the same pod again.
func TestRandomPods(t *testing.T) {
	t.Parallel()
	const shards = 4
	var denied, logins atomic.Uint64
	t.Cleanup(func() {
		// Otherwise the rest is checked for too few pods.
		if denied.Load() > *pods/4 || logins.Load() < *pods/4 {
			t.Errorf("of %d random pods %d are denied, and %d log in", *pods, denied.Load(), logins.Load())
		}
	})
	for shard := range uint64(shards) {
		t.Run(fmt.Sprintf("shard %d", shard), func(t *testing.T) {
			t.Parallel()
			for seed := shard; seed < *pods; seed += shards {
				switch got := checkRandomPod(t, seed); {
				case len(got.Errors) > 0:
					denied.Add(1)
				case len(got.result.Logins) > 0:
					logins.Add(1)
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// checkRandomPod returns what becomes of the pod by the first call.
func checkRandomPod(t *testing.T, seed uint64) outcome {
	t.Helper()
	r := mutatetest.New(seed)
	tree := r.Pod()
	first := r.Encode(tree)
	got := create(t, first)
	checkWarnings(t, got)

	// The way in which JSON is written means nothing.
	again := create(t, r.Encode(tree))
	if !bytes.Equal(got.Patch, again.Patch) {
		t.Errorf("two ways to write a pod get two patches:\n%s\n%s", got.Patch, again.Patch)
	}
	expect(t, "errors of the pod written in another way", got.Errors, again.Errors)
	expect(t, "warnings of the pod written in another way", got.Warnings, again.Warnings)
	if len(got.Errors) > 0 {
		checkErrors(t, got)
		return got
	}
	checkPatched(t, first, got)
	checkDebugging(t, r, got.Pod)

	// Another webhook adds containers, takes away what we added, and we are
	// called again.
	tree = decode(t, got.Pod).(object)
	addContainers(r, tree["spec"].(object))
	takeAway(r, tree["spec"].(object))
	later := r.Encode(tree)
	second := create(t, later)
	if len(second.Errors) > 0 {
		checkErrors(t, second) // the new containers may contradict the annotations
		return got
	}
	checkPatched(t, later, second)
	return got
}

// checkDebugging adds an ephemeral container to an injected pod. It gets what
// its target gets, or nothing and a warning.
func checkDebugging(t *testing.T, r mutatetest.Random, running []byte) {
	t.Helper()
	tree := decode(t, running).(object)
	debugger, scope := r.Container("dbg"), "dbg"
	delete(debugger, "volumeMounts") // they might contradict the annotations, as
	delete(debugger, "env")          // those of any container
	if !r.Chance(3) {
		scope = mutatetest.Pick(r, "c0", "c1", "oidc-login", "oidc-login-aws")
		debugger["targetContainerName"] = scope
	}
	tree["spec"].(object)["ephemeralContainers"] = []any{debugger}
	raw := r.Encode(tree)
	got := debug(t, raw, running)
	expect(t, "errors about a debug container", nil, got.Errors)
	checkNothingLost(t, raw, got)
	pod := &corev1.Pod{}
	if err := apijson.Unmarshal(got.Pod, pod); err != nil {
		return // as in checkPatched
	}
	want, _, _ := wanted(pod, scope, got)
	checkDebugResults(t, pod, scope, got)
	if slices.ContainsFunc(got.Warnings, func(w string) bool { return strings.HasPrefix(w, `debug container "dbg" gets no token: `) }) {
		want = map[string]grant{}
		expect(t, "paths that change in vain", nil, paths(got))
	}
	c := corev1.Container(pod.Spec.EphemeralContainers[0].EphemeralContainerCommon)
	// The lifetime does not matter, as a running pod may be older than the configuration.
	if diff := cmp.Diff(want, grants(pod, c), cmp.AllowUnexported(grant{}), cmpopts.IgnoreFields(grant{}, "seconds")); diff != "" {
		t.Errorf("tokens of the debug container of %q (-want +got):\n%s", scope, diff)
	}
}

// addContainers adds up to two containers anywhere.
func addContainers(r mutatetest.Random, spec object) {
	for i := range r.IntN(3) {
		key := mutatetest.Pick(r, "containers", "initContainers")
		list, _ := spec[key].([]any)
		spec[key] = slices.Insert(slices.Clone(list), r.IntN(len(list)+1), any(r.Container("late"+strconv.Itoa(i))))
	}
}

// takeAway removes some of the mounts and variables that we may have added.
func takeAway(r mutatetest.Random, spec object) {
	for _, key := range []string{"containers", "initContainers"} {
		list, _ := spec[key].([]any)
		for _, c := range list {
			for _, key := range []string{"volumeMounts", "env"} {
				if items, ok := c.(object)[key].([]any); ok && r.Chance(4) {
					c.(object)[key] = slices.DeleteFunc(items, func(item any) bool {
						name, _ := item.(object)["name"].(string)
						// Without its result a login container would not be one.
						isResult, _ := item.(object)["readOnly"].(bool)
						return isResult && strings.HasPrefix(name, "oidc-login") || strings.HasPrefix(name, "oidc-token") ||
							strings.HasPrefix(name, "TOKEN_") || strings.HasPrefix(name, "VAULT_")
					})
				}
			}
		}
	}
}

// checkPatched checks the patch of a pod that is not denied.
func checkPatched(t *testing.T, raw []byte, got outcome) {
	t.Helper()
	for _, operation := range got.result.Operations {
		if operation.Operation != "add" {
			t.Errorf("%s of %s", operation.Operation, operation.Path)
		}
	}
	checkNothingLost(t, raw, got)
	expectSettled(t, got)
	before, after := &corev1.Pod{}, &corev1.Pod{}
	if apijson.Unmarshal(raw, before) != nil || apijson.Unmarshal(got.Pod, after) != nil {
		return // the API server would not have sent it
	}
	checkTokens(t, before, after, got)
	checkReadable(t, after, got)
	checkLogins(t, before, after, got)
}

func checkWarnings(t *testing.T, got outcome) {
	t.Helper()
	for i, warning := range got.Warnings {
		if warning == "" || strings.Contains(warning, "\n") || slices.Contains(got.Warnings[:i], warning) {
			t.Errorf("warning %q", warning)
		}
	}
}

// checkErrors wants errors to say where, and which annotation is contradicted.
func checkErrors(t *testing.T, got outcome) {
	t.Helper()
	at := regexp.MustCompile(`^(spec\.(volumes|containers|initContainers)\[\d+\]\.|metadata\.annotations\[)`)
	for _, err := range got.Errors {
		if !at.MatchString(err) || !strings.Contains(err, "oidc-injector.io/") {
			t.Errorf("error %q", err)
		}
	}
	if len(got.result.Operations) > 0 {
		t.Error("there are operations beside the errors")
	}
}

// checkNothingLost takes away what was added, and wants the original meaning
// back: every field, whoever knows it, and every number as it was written.
func checkNothingLost(t *testing.T, raw []byte, got outcome) {
	t.Helper()
	undone := decode(t, got.Pod)
	for _, operation := range slices.Backward(got.result.Operations) {
		undone = undo(t, undone, strings.Split(operation.Path, "/")[1:])
	}
	original := decode(t, raw)
	for _, pod := range []any{original, undone} {
		// An older status is the one thing that is replaced.
		if metadata, ok := pod.(object)["metadata"].(object); ok {
			if annotations, ok := metadata["annotations"].(object); ok {
				delete(annotations, "oidc-injector.io/status")
			}
		}
	}
	if original, undone = dropNulls(original), dropNulls(undone); !reflect.DeepEqual(original, undone) {
		t.Errorf("the pod without what was added (-original +undone):\n%s", cmp.Diff(original, undone))
	}
}

func decode(t *testing.T, raw []byte) any {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("could not decode %s: %v", raw, err)
	}
	return v
}

// undo removes what an add operation of this path added.
func undo(t *testing.T, v any, path []string) any {
	t.Helper()
	name := strings.NewReplacer("~1", "/", "~0", "~").Replace(path[0])
	switch v := v.(type) {
	case object:
		if len(path) == 1 {
			delete(v, name)
		} else {
			v[name] = undo(t, v[name], path[1:])
		}
		return v
	case []any:
		if name == "-" {
			return v[:len(v)-1]
		}
		i, err := strconv.Atoi(name)
		if err != nil || i >= len(v) {
			t.Fatalf("the patch reaches into element %q of %d", name, len(v))
		}
		if len(path) == 1 {
			return slices.Delete(v, i, i+1)
		}
		v[i] = undo(t, v[i], path[1:])
		return v
	default:
		t.Fatalf("the patch reaches into %v", v)
		return nil
	}
}

// dropNulls removes members that are null, which means absent.
func dropNulls(v any) any {
	switch v := v.(type) {
	case object:
		maps.DeleteFunc(v, func(_ string, member any) bool { return member == nil })
		for _, member := range v {
			dropNulls(member)
		}
	case []any:
		for _, element := range v {
			dropNulls(element)
		}
	}
	return v
}

// grant is a token that a container has at a path.
type grant struct {
	audience string
	seconds  int64
}

// checkTokens compares what the containers have with what the annotations say.
func checkTokens(t *testing.T, before, after *corev1.Pod, got outcome) {
	t.Helper()
	if odd(after) {
		return
	}
	had := map[string]map[string]grant{}
	for _, c := range containersOf(before) {
		had[c.Name] = grants(before, c)
	}
	var equipped []string
	granted := map[string]bool{}
	for _, c := range containersOf(after) {
		want, names, env := wanted(after, c.Name, got)
		_, logsIn := loginsOf(after)[c.Name]
		if !logsIn && (len(want) > 0 || len(resultsOf(after, c.Name, got)) > 0) {
			equipped = append(equipped, c.Name)
		}
		maps.Copy(granted, names)
		maps.Copy(want, had[c.Name])
		if diff := cmp.Diff(want, grants(after, c), cmp.AllowUnexported(grant{})); diff != "" {
			t.Errorf("tokens of container %q (-want +got):\n%s", c.Name, diff)
		}
		for name, value := range env {
			if i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name }); i < 0 || c.Env[i].Value != value {
				t.Errorf("container %q does not have %s=%s: %v", c.Name, name, value, c.Env)
			}
		}
	}
	expect(t, "equipped containers", equipped, got.result.Containers)
	expect(t, "tokens granted", slices.Sorted(maps.Keys(granted)), slices.Sorted(slices.Values(got.result.Tokens)))
	said := len(equipped)+len(got.result.Warnings) > 0
	if _, ok := after.Annotations["oidc-injector.io/status"]; ok != said && before.Annotations["oidc-injector.io/status"] == "" {
		t.Errorf("status annotation %v with %d containers equipped and warnings %q", ok, len(equipped), got.result.Warnings)
	}
}

// odd tells of pods that the API server refuses, where it is not said what a
// container sees: two things of one name, or a mount of nothing.
func odd(pod *corev1.Pod) bool {
	names := map[string]bool{}
	for _, v := range pod.Spec.Volumes {
		if names["volume "+v.Name] {
			return true
		}
		names["volume "+v.Name] = true
	}
	for _, c := range containersOf(pod) {
		if names["container "+c.Name] || c.Name == "" {
			return true
		}
		names["container "+c.Name] = true
		for _, m := range c.VolumeMounts {
			at := "mount " + c.Name + clean(pod, m.MountPath)
			if names[at] || !names["volume "+m.Name] {
				return true
			}
			names[at] = true
		}
	}
	return false
}

func containersOf(pod *corev1.Pod) []corev1.Container {
	return slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers)
}

// clean is the same for all ways to write a path.
func clean(pod *corev1.Pod, p string) string {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		p = strings.TrimPrefix(strings.ToLower(strings.ReplaceAll(p, `\`, "/")), "c:")
	}
	return path.Join("/", p)
}

// grants are the tokens that a container sees, by path.
func grants(pod *corev1.Pod, c corev1.Container) map[string]grant {
	all := map[string]grant{}
	for _, m := range c.VolumeMounts {
		for _, v := range pod.Spec.Volumes {
			if v.Name != m.Name || v.Projected == nil || m.SubPath != "" || m.SubPathExpr != "" {
				continue
			}
			for _, source := range v.Projected.Sources {
				if token := source.ServiceAccountToken; token != nil {
					seconds := int64(3600)
					if token.ExpirationSeconds != nil {
						seconds = *token.ExpirationSeconds
					}
					all[clean(pod, m.MountPath+"/"+token.Path)] = grant{token.Audience, seconds}
				}
			}
		}
	}
	return all
}

// wanted are the tokens that a container is to get, by path, the tokens' names, and
// the variables.
func wanted(pod *corev1.Pod, container string, got outcome) (tokens map[string]grant, names map[string]bool, env map[string]string) {
	tokens, names, env = map[string]grant{}, map[string]bool{}, map[string]string{}
	spec := specOf(pod)
	login, logsIn := loginsOf(pod)[container]
	for i := range spec.Tokens {
		token := &spec.Tokens[i]
		if logsIn && login.Token != token.Name || !logsIn && !token.Scope.Includes(container) ||
			got.leftOut(container, "token "+strconv.Quote(token.DisplayName())) {
			continue
		}
		tokens[clean(pod, token.MountPath+"/"+token.File)] = grant{token.Audience, token.ExpirationSeconds}
		names[token.DisplayName()] = true
		if token.Env != "" && !logsIn {
			env[token.Env] = token.Path(osOf(pod))
		}
	}
	return tokens, names, env
}

// specOf is what the pod's annotations ask for, whose reading has tests of its own.
func specOf(pod *corev1.Pod) annotations.Spec {
	spec, _, _ := parser.Parse(annotations.Input{Annotations: annotations.FromMap(pod.Annotations), OS: osOf(pod)})
	return spec
}

func osOf(pod *corev1.Pod) annotations.OS {
	if pod.Spec.OS == nil {
		return ""
	}
	return annotations.OS(pod.Spec.OS.Name)
}

// leftOut reports whether a warning says that a container uses the directory of
// something for something else.
func (o outcome) leftOut(container, what string) bool {
	prefix := fmt.Sprintf("container %q is left without %s: ", container, what)
	return slices.ContainsFunc(o.Warnings, func(w string) bool { return strings.HasPrefix(w, prefix) })
}

var unreadableWarning = regexp.MustCompile(`^container "([^"]+)" may not be able to read `)

// checkReadable follows the kubelet (see tokenFile) to the permission check of
// the container's kernel, and wants a warning for exactly those containers that
// it shuts out.
func checkReadable(t *testing.T, pod *corev1.Pod, got outcome) {
	t.Helper()
	if odd(pod) || pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return
	}
	var warned, shutOut []string
	annotated := false
	for key := range pod.Annotations {
		annotated = annotated || strings.HasPrefix(key, "oidc-injector.io/file-mode")
	}
	for _, warning := range got.Warnings {
		if match := unreadableWarning.FindStringSubmatch(warning); match != nil && !aboutResult(warning) &&
			!slices.Contains(warned, match[1]) {
			warned = append(warned, match[1])
		}
	}
	for _, c := range containersOf(pod) {
		tokens, _, _ := wanted(pod, c.Name, got)
		mounted := func(m corev1.VolumeMount) bool {
			for file := range tokens {
				if path.Dir(file) == clean(pod, m.MountPath) {
					return !mayRead(pod, c, m.Name)
				}
			}
			return false
		}
		if slices.ContainsFunc(c.VolumeMounts, mounted) {
			shutOut = append(shutOut, c.Name)
		}
	}
	slices.Sort(warned)
	slices.Sort(shutOut)
	expect(t, "containers that cannot read their tokens", shutOut, warned)
	if !annotated && len(shutOut) > 0 && got.result.Operations != nil {
		t.Errorf("the mode chosen shuts out %v", shutOut)
	}
}

// mayRead reports whether a container may read the tokens of a volume. Where the
// pod does not say who runs in it, it is somebody without rights.
func mayRead(pod *corev1.Pod, c corev1.Container, volume string) bool {
	podContext := podContextOf(pod)
	user := func(c corev1.Container) int64 {
		return or(nobody, contextOf(c).RunAsUser, podContext.RunAsUser)
	}
	uid, groups := user(c), append(slices.Clone(podContext.SupplementalGroups), or(nobody, contextOf(c).RunAsGroup, podContext.RunAsGroup))

	v := slices.IndexFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == volume })
	if v < 0 || pod.Spec.Volumes[v].Projected == nil {
		return true
	}
	mode, owner, group := int32(0o644), int64(0), int64(0)
	if m := pod.Spec.Volumes[v].Projected.DefaultMode; m != nil {
		mode = *m
	}
	sameUser := !slices.ContainsFunc(containersOf(pod), func(other corev1.Container) bool { return user(other) != uid })
	if sameUser && uid != nobody {
		mode, owner = 0o600, uid
	}
	if fsGroup := podContext.FSGroup; fsGroup != nil {
		mode, group = 0o640, *fsGroup
		groups = append(groups, *fsGroup)
	}
	return permits(mode, owner, group, uid, groups)
}

// nobody is the user and the group of containers of which the pod does not say.
const nobody int64 = 12345

func podContextOf(pod *corev1.Pod) *corev1.PodSecurityContext {
	if c := pod.Spec.SecurityContext; c != nil {
		return c
	}
	return &corev1.PodSecurityContext{}
}

func contextOf(c corev1.Container) *corev1.SecurityContext {
	if c.SecurityContext != nil {
		return c.SecurityContext
	}
	return &corev1.SecurityContext{}
}

// or is the first of the numbers that is there.
func or(otherwise int64, ids ...*int64) int64 {
	for _, id := range ids {
		if id != nil {
			return *id
		}
	}
	return otherwise
}

// permits is the kernel's permission check for reading.
func permits(mode int32, owner, group, uid int64, groups []int64) bool {
	switch {
	case uid == 0:
		return true
	case uid == owner:
		return mode&0o400 != 0
	case slices.Contains(groups, group):
		return mode&0o040 != 0
	default:
		return mode&0o004 != 0
	}
}

// FuzzRandomPods is TestRandomPods with seeds that no run before had.
func FuzzRandomPods(f *testing.F) {
	f.Add(uint64(math.MaxUint64))
	f.Fuzz(func(t *testing.T, seed uint64) { checkRandomPod(t, seed) })
}

// FuzzPatch takes any document for a pod, both for one that is created and for
// one that gets debug containers.
func FuzzPatch(f *testing.F) {
	for seed := range uint64(20) {
		r := mutatetest.New(seed)
		f.Add(r.Encode(r.Pod()))
	}
	f.Add([]byte(`{"metadata":{"annotations":{"oidc-injector.io/audience":"a"}},"spec":{"containers":[null,{"name":"a",` +
		`"volumeMounts":null}]}}`))
	f.Add([]byte(`{"metadata":{"annotations":{"oidc-injector.io/audience":"a"}},"spec":{"volumes":[` +
		`{"name":"a","projected":{"sources":[{"serviceAccountToken":{"audience":"a","path":"oidc-token"}}]}}],` +
		`"ephemeralContainers":[{"name":"b"}]}}`))
	f.Add([]byte(`{"metadata":null,"spec":null}`))
	f.Add([]byte(`{"spec":{"containers":[{"name":"SECRET`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		pod, err := mutate.ParsePod(raw)
		if err != nil {
			checkNoContent(t, err)
			return
		}
		if len(pod.Annotations) == 0 {
			return // it asks for nothing, and need not even be an object
		}
		got := create(t, raw)
		if len(got.Errors) == 0 {
			checkPatched(t, raw, got)
		}
		if got = debug(t, raw, []byte("{}")); len(got.Errors) == 0 {
			checkNothingLost(t, raw, got)
		}
	})
}

// checkNoContent wants an error that has no room for a part of the pod.
func checkNoContent(t *testing.T, err error) {
	t.Helper()
	text := regexp.MustCompile(`^could not read the Pod: (the JSON document ends too early|invalid JSON near offset \d+|` +
		`unexpected JSON value: (trailing data|not a whole number before offset \d+|` +
		`unexpected (string|number|null|true|false|[{\[]) before offset \d+))$`)
	if !text.MatchString(err.Error()) {
		t.Errorf("the error is %q", err)
	}
}
