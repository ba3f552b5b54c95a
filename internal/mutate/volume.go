package mutate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/contract"
)

// VolumeName is the name of the volume for the default mount path. Every other
// one has a hash behind it.
const VolumeName = "oidc-token"

// directory is a mount path and all tokens that share it.
type directory struct {
	path string
	// comparable is the path in the form in which paths compare equal.
	comparable string
	tokens     []*annotations.Token
}

// directories groups the tokens by mount path, in the order of the tokens.
func directories(tokens []annotations.Token, os annotations.OS) []*directory {
	dirs := make([]*directory, 0, 1)
	for i := range tokens {
		t := &tokens[i]
		path := annotations.ComparablePath(t.MountPath, os)
		at := slices.IndexFunc(dirs, func(d *directory) bool { return d.comparable == path })
		if at < 0 {
			at = len(dirs)
			dirs = append(dirs, &directory{path: t.MountPath, comparable: path})
		}
		dirs[at].tokens = append(dirs[at].tokens, t)
	}
	return dirs
}

// view is what some containers see in a directory: a subset of its tokens.
// Containers with the same view share a volume; containers with different ones
// must not, as a volume shows all of its files to everyone who mounts it.
type view struct {
	dir *directory
	// members is the subset, a bit for each of dir.tokens.
	members uint32
	// users counts the containers that see it, and containers are those among
	// them that have to mount it.
	users      int
	containers []*container

	// volumeName is the volume chosen for it, and mount what its containers
	// add, as a value and as a list of one: boxed once, not once a container.
	volumeName       string
	mount, mountList any
}

// tokens returns the members of the subset.
func (v *view) tokens() []*annotations.Token {
	tokens := make([]*annotations.Token, 0, len(v.dir.tokens))
	for i, t := range v.dir.tokens {
		if v.members&(1<<i) != 0 {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// name is the volume's name: constant for the same annotations, so that a
// second call finds what the first one made.
func (v *view) name() string {
	complete := v.members == 1<<len(v.dir.tokens)-1
	if complete && v.dir.path == annotations.DefaultMountPath {
		return VolumeName
	}
	seed := []string{v.dir.path}
	if !complete {
		for _, t := range v.tokens() {
			seed = append(seed, t.Name)
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(seed, "\x00")))
	return VolumeName + "-" + hex.EncodeToString(sum[:5])
}

// modeToken is the token whose annotation sets the mode of the volume's files,
// or nil.
func (v *view) modeToken() *annotations.Token {
	for _, t := range v.tokens() {
		if t.FileMode != nil {
			return t
		}
	}
	return nil
}

// volume is the projected volume of the view.
func (v *view) volume(name string, mode *int32) corev1.Volume {
	projected := &corev1.ProjectedVolumeSource{DefaultMode: mode}
	for _, t := range v.tokens() {
		projected.Sources = append(projected.Sources, corev1.VolumeProjection{
			ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Path: t.File, ExpirationSeconds: &t.ExpirationSeconds, Audience: t.Audience,
			},
		})
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: projected}}
}

// prepareMount makes the mount of the chosen volume. It is not marked readOnly:
// the kubelet mounts every projected volume read-only, and the plain form is
// the one that people write by hand.
func (v *view) prepareMount() {
	m := corev1.VolumeMount{Name: v.volumeName, MountPath: v.dir.path}
	v.mount, v.mountList = m, []corev1.VolumeMount{m}
}

// projection is an existing volume, as far as it can be compared with a view or
// with a volume of a login.
type projection struct {
	index  int
	name   string
	mode   int32
	tokens []corev1.ServiceAccountTokenProjection
	// tokensOnly is false where the volume holds anything but tokens.
	tokensOnly bool
	// memory is true for an emptyDir in memory.
	memory bool
	// ca is the entry of a ConfigMap or Secret that the volume shows under the
	// contract's name, or nil where it shows anything else.
	ca *annotations.CASource
	// readOnly is true where the kubelet mounts the volume read-only whatever
	// the mount says, so that no directory can be made in it.
	readOnly bool
}

// decodeProjection reads an existing volume.
func decodeProjection(index int, name, raw string) *projection {
	p := &projection{index: index, name: name, mode: defaultMode}
	var v corev1.Volume
	// This decoder is the API server's, which heeds the case of names. Fields
	// that our API types lack are passed over: a newer API server may have
	// defaulted them, and they are not lost by not being read.
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		return p
	}
	p.readOnly = v.ConfigMap != nil || v.Secret != nil || v.Projected != nil || v.DownwardAPI != nil
	p.memory = v.EmptyDir != nil && v.EmptyDir.Medium == corev1.StorageMediumMemory
	p.ca = caSource(&v)
	if v.Projected == nil {
		return p
	}
	if v.Projected.DefaultMode != nil {
		p.mode = *v.Projected.DefaultMode
	}
	p.tokensOnly = true
	for _, source := range v.Projected.Sources {
		if source.ServiceAccountToken == nil {
			p.tokensOnly = false
			return p
		}
		p.tokens = append(p.tokens, *source.ServiceAccountToken)
	}
	return p
}

func caSource(v *corev1.Volume) *annotations.CASource {
	ca := &annotations.CASource{}
	var items []corev1.KeyToPath
	switch {
	case v.ConfigMap != nil:
		ca.Name, items = v.ConfigMap.Name, v.ConfigMap.Items
	case v.Secret != nil:
		ca.Secret, ca.Name, items = true, v.Secret.SecretName, v.Secret.Items
	}
	if len(items) != 1 || items[0].Path != contract.CAFileName {
		return nil
	}
	ca.Key = items[0].Key
	return ca
}

// existingVolumes finds the pod's volumes by name, and decodes those that are
// asked for, once: a hostile pod can have a large volume with many mounts.
type existingVolumes struct {
	pod     *Pod
	indices map[string]int
	decoded map[string]*projection
}

// get returns a volume of the pod; nil where there is none of that name.
func (e *existingVolumes) get(name string) *projection {
	if p, ok := e.decoded[name]; ok {
		return p
	}
	if e.indices == nil {
		e.indices = make(map[string]int, len(e.pod.volumes))
		for i := range e.pod.volumes {
			e.indices[e.pod.volumes[i].name] = i
		}
		e.decoded = make(map[string]*projection, 1)
	}
	index, ok := e.indices[name]
	if !ok {
		return nil
	}
	p := decodeProjection(index, name, e.pod.volumes[index].raw)
	e.decoded[name] = p
	return p
}

// holds tells whether an existing volume has exactly the view's tokens, in
// whatever order: the API server refuses two tokens of one path.
func (v *view) holds(p *projection) bool {
	return v.matches(p, func(existing *corev1.ServiceAccountTokenProjection, t *annotations.Token) bool {
		return existing.Path == t.File && existing.Audience == t.Audience && lifetime(existing) == t.ExpirationSeconds
	})
}

// shows tells whether an existing volume has the view's tokens, of whatever
// lifetime: that of a running pod may be older than the configuration.
func (v *view) shows(p *projection) bool {
	return v.matches(p, func(existing *corev1.ServiceAccountTokenProjection, t *annotations.Token) bool {
		return existing.Path == t.File && existing.Audience == t.Audience
	})
}

// matches tells whether the volume has a token for each of the view's, and no
// other.
func (v *view) matches(p *projection, same func(*corev1.ServiceAccountTokenProjection, *annotations.Token) bool) bool {
	tokens := v.tokens()
	return p.tokensOnly && len(tokens) == len(p.tokens) && !slices.ContainsFunc(tokens, func(t *annotations.Token) bool {
		return !slices.ContainsFunc(p.tokens, func(existing corev1.ServiceAccountTokenProjection) bool { return same(&existing, t) })
	})
}

// lifetime is what a volume's token is requested for, in seconds.
func lifetime(existing *corev1.ServiceAccountTokenProjection) int64 {
	if existing.ExpirationSeconds != nil {
		return *existing.ExpirationSeconds
	}
	return 3600 // core/v1 ServiceAccountTokenProjection.expirationSeconds
}

// describe tells what a view holds, for messages that name both sides.
func (v *view) describe() string {
	tokens := v.tokens()
	files := make([]string, 0, len(tokens))
	for _, t := range tokens {
		files = append(files, fmt.Sprintf("%s with audience %q for %d s", t.File, t.Audience, t.ExpirationSeconds))
	}
	return strings.Join(files, ", ")
}
