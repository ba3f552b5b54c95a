package loginrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volume is a volume of the pod, as a directory.
type volume struct {
	options Options
	source  *corev1.Volume
	dir     string

	mu     sync.Mutex
	tokens []string
}

// content is what a file is to hold.
type content struct {
	text string
	mode fs.FileMode
}

// The modes that volumes have where the pod says nothing: those of the kubelet
// for files, and that of an emptyDir.
const (
	defaultMode = 0o644
	emptyMode   = 0o777
)

// fill makes the directory, or replaces what is in it.
func (v *volume) fill(ctx context.Context) error {
	if err := os.MkdirAll(v.dir, emptyMode); err != nil {
		return fmt.Errorf("could not make a volume: %w", err)
	}
	files, err := v.files(ctx)
	if err != nil {
		return fmt.Errorf("could not fill volume %s: %w", v.source.Name, err)
	}
	if files == nil {
		return nil
	}
	return v.write(files)
}

// files are what the kubelet would write, by name; nil for an empty directory.
func (v *volume) files(ctx context.Context) (map[string]content, error) {
	switch s := v.source; {
	case s.EmptyDir != nil:
		return nil, nil //nolint:nilnil // nothing to write is no error
	case s.ConfigMap != nil:
		return v.configMap(ctx, s.ConfigMap.Name, s.ConfigMap.Items)
	case s.Secret != nil:
		return v.secret(ctx, s.Secret.SecretName, s.Secret.Items)
	case s.Projected != nil:
		return v.projected(ctx, s.Projected)
	default:
		return nil, errors.New("this kind of volume is not known here")
	}
}

func (v *volume) projected(ctx context.Context, p *corev1.ProjectedVolumeSource) (map[string]content, error) {
	files := map[string]content{}
	for i := range p.Sources {
		if s := p.Sources[i].Secret; s != nil {
			entries, err := v.secret(ctx, s.Name, s.Items)
			if err != nil {
				return nil, err
			}
			maps.Copy(files, entries)
			continue
		}
		projection := p.Sources[i].ServiceAccountToken
		if projection == nil {
			return nil, errors.New("only tokens and Secrets can be projected here")
		}
		token, err := v.options.Cluster.RequestToken(ctx, v.options.Pod, projection)
		if err != nil {
			return nil, err
		}
		v.remember(token)
		mode := fs.FileMode(defaultMode)
		if p.DefaultMode != nil {
			mode = fs.FileMode(*p.DefaultMode)
		}
		files[projection.Path] = content{token, mode}
	}
	return files, nil
}

func (v *volume) configMap(ctx context.Context, name string, items []corev1.KeyToPath) (map[string]content, error) {
	object, err := v.options.Cluster.Client().CoreV1().ConfigMaps(v.options.Pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return choose(object.Data, items)
}

func (v *volume) secret(ctx context.Context, name string, items []corev1.KeyToPath) (map[string]content, error) {
	object, err := v.options.Cluster.Client().CoreV1().Secrets(v.options.Pod.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	data := make(map[string]string, len(object.Data))
	for key, value := range object.Data {
		data[key] = string(value)
	}
	return choose(data, items)
}

// choose takes the items of an object, or all entries where there are no items.
func choose(data map[string]string, items []corev1.KeyToPath) (map[string]content, error) {
	files := make(map[string]content, len(data))
	if items == nil {
		for key, value := range data {
			files[key] = content{value, defaultMode}
		}
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok {
			return nil, fmt.Errorf("the object has no key %q", item.Key)
		}
		files[item.Path] = content{value, defaultMode}
	}
	return files, nil
}

// write replaces all files at once, in the kubelet's way: they are in a new
// directory, to which the symbolic link ..data is turned, and the names that are
// seen are links through that.
func (v *volume) write(files map[string]content) error {
	old, err := os.Readlink(v.data())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh, err := os.MkdirTemp(v.dir, "..")
	if err != nil {
		return err
	}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(fresh, name), []byte(file.text), file.mode); err != nil {
			return err
		}
	}
	next := v.data() + "_tmp"
	if err := errors.Join(os.Symlink(filepath.Base(fresh), next), os.Rename(next, v.data())); err != nil {
		return err
	}
	for name := range files {
		err := os.Symlink(filepath.Join(filepath.Base(v.data()), name), filepath.Join(v.dir, name))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(filepath.Join(v.dir, old))
}

func (v *volume) data() string { return filepath.Join(v.dir, "..data") }

func (v *volume) remember(token string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tokens = append(v.tokens, token)
}

func (v *volume) remembered() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.tokens)
}
