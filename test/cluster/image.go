package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Image says what an image is made of besides its files. Pods can override it.
type Image struct {
	// Entrypoint is by default the only file of the image, if there is only one.
	Entrypoint []string
	// User is a user id, or UID:GID; by default 65532, which is not root.
	User string
	// Env are variables as NAME=VALUE.
	Env []string
	// Links are symbolic links, given by their path in the image and their target.
	Links map[string]string
}

// imageConfig is the part of an OCI image configuration that is of use here.
type imageConfig struct {
	Architecture string           `json:"architecture"`
	OS           string           `json:"os"`
	Config       imageConfigOfRun `json:"config"`
	RootFS       imageConfigOfFS  `json:"rootfs"`
}

type imageConfigOfRun struct {
	Entrypoint []string `json:"Entrypoint"`
	User       string   `json:"User"`
	Env        []string `json:"Env,omitempty"`
}

type imageConfigOfFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// imageManifest is an entry of manifest.json of a docker-archive.
type imageManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeImage writes a docker-archive with a single layer: the files, given by
// their path in the image and their path here. The same files make the same
// archive.
func writeImage(out io.Writer, ref string, files map[string]string, image Image) error {
	layer, err := makeLayer(files, image.Links)
	if err != nil {
		return err
	}
	digest := sha256.Sum256(layer)
	config := imageConfig{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Config:       image.withDefaults(files),
		RootFS:       imageConfigOfFS{Type: "layers", DiffIDs: []string{"sha256:" + hex.EncodeToString(digest[:])}},
	}
	configJSON, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("could not encode the configuration of an image: %w", err)
	}
	manifest, err := json.Marshal([]imageManifest{{Config: "config.json", RepoTags: []string{ref}, Layers: []string{"layer.tar"}}})
	if err != nil {
		return fmt.Errorf("could not encode the manifest of an image: %w", err)
	}
	archive := tar.NewWriter(out)
	for _, entry := range []struct {
		name    string
		content []byte
	}{{"manifest.json", manifest}, {"config.json", configJSON}, {"layer.tar", layer}} {
		if err := addFile(archive, entry.name, 0o644, entry.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return fmt.Errorf("could not write an image: %w", err)
	}
	return nil
}

func (i Image) withDefaults(files map[string]string) imageConfigOfRun {
	if len(i.Entrypoint) == 0 && len(files) == 1 {
		for name := range files {
			i.Entrypoint = []string{path.Join("/", name)}
		}
	}
	if i.User == "" {
		i.User = "65532"
	}
	return imageConfigOfRun{Entrypoint: i.Entrypoint, User: i.User, Env: i.Env}
}

func makeLayer(files, links map[string]string) ([]byte, error) {
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	for _, dir := range parents(files, links) {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return nil, fmt.Errorf("could not add a folder to an image: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(links)) {
		link := &tar.Header{Typeflag: tar.TypeSymlink, Name: inArchive(name), Linkname: links[name], Mode: 0o777}
		if err := archive.WriteHeader(link); err != nil {
			return nil, fmt.Errorf("could not add a link to an image: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		info, err := os.Stat(files[name])
		if err != nil {
			return nil, fmt.Errorf("could not add a file to an image: %w", err)
		}
		content, err := os.ReadFile(files[name])
		if err != nil {
			return nil, fmt.Errorf("could not add a file to an image: %w", err)
		}
		// The user in the image is not the one who owns the file here.
		mode := int64(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if err := addFile(archive, inArchive(name), mode, content); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("could not write a layer: %w", err)
	}
	return layer.Bytes(), nil
}

// parents are all folders of the entries, each after its own parent.
func parents(entries ...map[string]string) []string {
	dirs := map[string]bool{}
	for _, names := range entries {
		for name := range names {
			for dir := path.Dir(inArchive(name)); dir != "."; dir = path.Dir(dir) {
				dirs[dir] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}

// inArchive is a path in an image as archives have it, without the leading slash.
func inArchive(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

func addFile(archive *tar.Writer, name string, mode int64, content []byte) error {
	if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return fmt.Errorf("could not add %s to an archive: %w", name, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("could not add %s to an archive: %w", name, err)
	}
	return nil
}
