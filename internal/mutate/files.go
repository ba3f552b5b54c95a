package mutate

import (
	"encoding/json"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/oidc-injector/oidc-injector/internal/annotations"
	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

// fileVolume is a volume with files of API objects, and where a login container has
// it.
type fileVolume struct {
	corev1.Volume
	directory string
}

// fileVolumes are those of a login: its certificate authorities, and what it proves
// with who it is.
func (v *view) fileVolumes() []fileVolume {
	var all []fileVolume
	if ca := v.login.CA; ca != nil {
		name := annotations.Name(v.prefix.Names().CAVolume, v.login.Name, "")
		all = append(all, fileVolume{caVolume(name, annotations.File{Object: *ca, Path: loginspec.CAFileName}), loginspec.CADir})
	}
	if files := v.login.Client; len(files) > 0 {
		name := annotations.Name(v.prefix.Names().ClientVolume, v.login.Name, "")
		all = append(all, fileVolume{projectedVolume(name, files), loginspec.ClientDir})
	}
	return all
}

// caVolume is of the plain kind where there is one, which is the form that people
// write by hand.
func caVolume(name string, ca annotations.File) corev1.Volume {
	v := corev1.Volume{Name: name}
	items := []corev1.KeyToPath{{Key: ca.Key, Path: ca.Path}}
	switch ca.Kind {
	case annotations.Secret:
		v.Secret = &corev1.SecretVolumeSource{SecretName: ca.Name, Items: items}
	case annotations.ConfigMap:
		v.ConfigMap = &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: ca.Name}, Items: items}
	case annotations.ClusterTrustBundle:
		return projectedVolume(name, []annotations.File{ca})
	}
	return v
}

func projectedVolume(name string, files []annotations.File) corev1.Volume {
	sources := make([]corev1.VolumeProjection, 0, len(files))
	for _, f := range files {
		sources = append(sources, projection(f))
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}}
}

func projection(f annotations.File) corev1.VolumeProjection {
	items, reference := []corev1.KeyToPath{{Key: f.Key, Path: f.Path}}, corev1.LocalObjectReference{Name: f.Name}
	switch f.Kind {
	case annotations.Secret:
		return corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: reference, Items: items}}
	case annotations.ConfigMap:
		return corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: reference, Items: items}}
	case annotations.ClusterTrustBundle:
	}
	bundle := &corev1.ClusterTrustBundleProjection{Path: f.Path}
	if f.Signer != "" {
		// An empty selector takes all of the signer's bundles, none takes no bundle.
		bundle.SignerName, bundle.LabelSelector = &f.Signer, &metav1.LabelSelector{}
	} else {
		bundle.Name = &f.Name
	}
	return corev1.VolumeProjection{ClusterTrustBundle: bundle}
}

// showsFiles reports whether a volume shows the files of another one, and nothing
// else.
func (v *volume) showsFiles(wanted corev1.Volume) bool {
	var has corev1.Volume
	if json.Unmarshal([]byte(v.text), &has) != nil {
		return false
	}
	files, known := filesOf(has)
	wants, _ := filesOf(wanted)
	return known && slices.Equal(files, wants)
}

// filesOf lists what a volume shows. It is false for volumes that show anything but
// single entries of API objects.
func filesOf(v corev1.Volume) ([]annotations.File, bool) {
	switch {
	case v.ConfigMap != nil:
		return entries(annotations.ConfigMap, v.ConfigMap.Name, v.ConfigMap.Items)
	case v.Secret != nil:
		return entries(annotations.Secret, v.Secret.SecretName, v.Secret.Items)
	case v.Projected == nil:
		return nil, false
	}
	var all []annotations.File
	for i := range v.Projected.Sources {
		files, ok := projectedFiles(&v.Projected.Sources[i])
		if !ok {
			return nil, false
		}
		all = append(all, files...)
	}
	return all, true
}

func projectedFiles(s *corev1.VolumeProjection) ([]annotations.File, bool) {
	switch {
	case s.Secret != nil:
		return entries(annotations.Secret, s.Secret.Name, s.Secret.Items)
	case s.ConfigMap != nil:
		return entries(annotations.ConfigMap, s.ConfigMap.Name, s.ConfigMap.Items)
	case s.ClusterTrustBundle == nil:
		return nil, false
	}
	b := s.ClusterTrustBundle
	f := annotations.File{Object: annotations.Object{Kind: annotations.ClusterTrustBundle}, Path: b.Path}
	switch {
	case b.Name != nil:
		f.Name = *b.Name
	case b.SignerName != nil && b.LabelSelector != nil && len(b.LabelSelector.MatchLabels)+len(b.LabelSelector.MatchExpressions) == 0:
		f.Signer = *b.SignerName
	default:
		return nil, false
	}
	return []annotations.File{f}, true
}

// entries lists those of an object. Without a list of them all are shown, whatever
// they are.
func entries(kind annotations.ObjectKind, name string, items []corev1.KeyToPath) ([]annotations.File, bool) {
	files := make([]annotations.File, 0, len(items))
	for _, item := range items {
		files = append(files, annotations.File{Object: annotations.Object{Kind: kind, Name: name, Key: item.Key}, Path: item.Path})
	}
	return files, len(items) > 0
}
