package main

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/oidc-injector/oidc-injector/internal/cli"
	"github.com/oidc-injector/oidc-injector/internal/testutil"
	"github.com/oidc-injector/oidc-injector/internal/version"
)

// pictures are the calls that the README shows as pictures of a terminal.
var pictures = map[string]string{
	"render.ansi": "render -f web.yaml -o diff", "explain.ansi": "explain deploy/web --namespace shop",
}

// TestPictures holds that their texts are what the plugin prints on a terminal. The command
// pictures of the module test draws them.
func TestPictures(t *testing.T) {
	dir := pictureWorld(t)
	texts, err := filepath.Abs("../../docs/pictures")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for name, args := range pictures {
		var out, errOut bytes.Buffer
		cli.Run(t.Context(), strings.Fields(args), cli.Environment{
			IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut}, Color: true,
			Now: func() time.Time { return time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC) },
		})
		if errOut.Len() > 0 {
			t.Errorf("%s: %s", args, errOut.String())
		}
		testutil.Generated(t, filepath.Join(texts, name), *update, func(string) string {
			return "\x1b[1m$ kubectl oidc-injector " + args + "\x1b[0m\n" +
				strings.ReplaceAll(out.String(), version.Version(), "v0.1.0") // that of a release, and not that of a test
		})
	}
}

// pictureWorld is a folder with the files of the calls, and a cluster that the environment
// names.
func pictureWorld(t *testing.T) string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/pictures.txtar")
	if err != nil {
		t.Fatal(err)
	}
	// The name of the bundle's authority is not shown, nor its key, and its end is far enough.
	ca, _ := testutil.IssueCertificate(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC), NotAfter: time.Date(2036, 11, 25, 9, 0, 0, 0, time.UTC),
	}, nil, nil)
	for i := range archive.Files {
		f := &archive.Files[i]
		f.Data = bytes.ReplaceAll(f.Data, []byte("CA_BUNDLE"), []byte(base64.StdEncoding.EncodeToString(ca)))
	}
	dir := t.TempDir()
	if err := txtar.Write(archive, dir); err != nil {
		t.Fatal(err)
	}
	server := serveFolder(filepath.Join(dir, "cluster"))
	t.Cleanup(server.Close)
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := writeKubeconfig(kubeconfig, server.URL); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	t.Setenv("KUBECACHEDIR", filepath.Join(dir, "cache"))
	return dir
}

// TestPictureWorld holds that the files are complete: an API server that says nothing of one
// would be a picture of a question mark.
func TestPictureWorld(t *testing.T) {
	t.Parallel()
	for name := range pictures {
		text, err := os.ReadFile(filepath.Join("../../docs/pictures", name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "? ") || strings.Count(string(text), "\n") < 10 {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}
