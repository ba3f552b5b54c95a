package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestWriteImage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("static"), 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/usr/bin/app": program}
	var archive, again bytes.Buffer
	if err := writeImage(&archive, "localhost/app:1", files, Image{Env: []string{"A=b"}}); err != nil {
		t.Fatal(err)
	}
	if err := writeImage(&again, "localhost/app:1", files, Image{Env: []string{"A=b"}}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Error("the same files make different archives")
	}

	entries := readTar(t, archive.Bytes())
	var manifest []imageManifest
	unmarshal(t, entries["manifest.json"].content, &manifest)
	want := []imageManifest{{Config: "config.json", RepoTags: []string{"localhost/app:1"}, Layers: []string{"layer.tar"}}}
	if !reflect.DeepEqual(manifest, want) {
		t.Errorf("manifest is %+v, want %+v", manifest, want)
	}
	checkConfig(t, entries)
	checkLayer(t, readTar(t, entries["layer.tar"].content))
}

func checkConfig(t *testing.T, entries map[string]tarEntry) {
	t.Helper()
	var config imageConfig
	unmarshal(t, entries["config.json"].content, &config)
	run := imageConfigOfRun{Entrypoint: []string{"/usr/bin/app"}, User: "65532", Env: []string{"A=b"}}
	if !reflect.DeepEqual(config.Config, run) {
		t.Errorf("config is %+v, want %+v", config.Config, run)
	}
	digest := sha256.Sum256(entries["layer.tar"].content)
	if want := []string{"sha256:" + hex.EncodeToString(digest[:])}; !reflect.DeepEqual(config.RootFS.DiffIDs, want) {
		t.Errorf("layers are %q, want %q", config.RootFS.DiffIDs, want)
	}
}

func checkLayer(t *testing.T, layer map[string]tarEntry) {
	t.Helper()
	want := map[string]tarEntry{
		"usr/":        {mode: 0o755},
		"usr/bin/":    {mode: 0o755},
		"usr/bin/app": {mode: 0o755, content: []byte("static")}, // others have to be able to run it
	}
	if !reflect.DeepEqual(layer, want) {
		t.Errorf("the layer has %v, want %v", layer, want)
	}
}

func TestImageOfSeveralFilesHasNoEntrypoint(t *testing.T) {
	got := Image{User: "0:0"}.withDefaults(map[string]string{"/a": "", "/b": ""})
	if want := (imageConfigOfRun{User: "0:0"}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestImageHasLinks(t *testing.T) {
	layer, err := makeLayer(map[string]string{}, map[string]string{"/var/run": "/run"})
	if err != nil {
		t.Fatal(err)
	}
	entries := readTar(t, layer)
	want := map[string]tarEntry{"var/": {mode: 0o755}, "var/run": {mode: 0o777, link: "/run"}}
	if !reflect.DeepEqual(entries, want) {
		t.Errorf("the layer has %v, want %v", entries, want)
	}
}

func TestImageOfMissingFile(t *testing.T) {
	err := writeImage(io.Discard, "localhost/app:1", map[string]string{"/a": filepath.Join(t.TempDir(), "none")}, Image{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got error %v, want one of a missing file", err)
	}
}

type tarEntry struct {
	mode    int64
	content []byte
	link    string
}

func readTar(t *testing.T, archive []byte) map[string]tarEntry {
	t.Helper()
	entries := map[string]tarEntry{}
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return entries
		}
		if err != nil {
			t.Fatal(err)
		}
		entry := tarEntry{mode: header.Mode, link: header.Linkname}
		if header.Size > 0 {
			if entry.content, err = io.ReadAll(reader); err != nil {
				t.Fatal(err)
			}
		}
		entries[header.Name] = entry
	}
}

func unmarshal(t *testing.T, text []byte, value any) {
	t.Helper()
	if err := json.Unmarshal(text, value); err != nil {
		t.Fatal(err)
	}
}
