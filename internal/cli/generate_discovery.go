package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

func newGenerateDiscoveryCommand(g *globals) *cobra.Command {
	var out, keysURL string
	c := &cobra.Command{
		Use:   "discovery --out DIR",
		Short: "The cluster's discovery document and keys as files, for hosting where its API server is private",
		Long: `Writes the cluster's discovery document and its keys as files, for a web server that
relying parties can reach where they cannot reach the API server. Both are public.

Serve DIR at the issuer's URL, by https, with the type application/json. Relying parties
compare the issuer in the document with its URL, and with the tokens': if they cannot
reach the issuer's URL, give the API server another one (--service-account-issuer, first,
with the old one behind it for the tokens that are in use). Write the files again, and
before its first use, whenever the key of the API server changes.`,
		Example: "  kubectl oidc-injector generate discovery --out public/",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" {
				return errors.New("say where to with --out")
			}
			return g.generateDiscovery(c.Context(), out, keysURL)
		},
	}
	c.Flags().StringVar(&out, "out", "", "Directory for the files, which is made if it is not there")
	c.Flags().StringVar(&keysURL, "jwks-uri", "", "URL of the keys in the document; by default below the issuer's")
	return c
}

func (g *globals) generateDiscovery(ctx context.Context, out, keysURL string) error {
	p, err := g.published(ctx)
	if err != nil {
		return err
	}
	keys, err := issuer.ParseKeys(p.keys)
	if err != nil {
		return fmt.Errorf("%s of the API server: %w", keysPath, err)
	}
	if keysURL == "" {
		keysURL = strings.TrimSuffix(p.document.Issuer, "/") + keysPath
	}
	if err := issuer.CheckURL(keysURL, false); err != nil {
		return fmt.Errorf("the URL of the keys: %w", err)
	}
	document, err := withKeysURL(p.discovery, keysURL)
	if err != nil {
		return err
	}
	for _, file := range []struct {
		path    string
		content []byte
	}{{discoveryPath, document}, {keysPath, p.keys}} {
		path := filepath.Join(out, filepath.FromSlash(file.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // a web server reads it
			return err
		}
		if err := os.WriteFile(path, file.content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
		fmt.Fprintf(g.Out, "%s\n", path)
	}
	for _, problem := range keys.Problems {
		fmt.Fprintln(g.ErrOut, "note:", problem)
	}
	if internal(p.document.Issuer) {
		fmt.Fprintf(g.ErrOut, "note: the issuer is %s, which nobody outside the cluster can reach: give the API server another one\n",
			p.document.Issuer)
	}
	return nil
}

// withKeysURL is a discovery document with another URL of the keys, and all else that it has.
func withKeysURL(document []byte, keysURL string) ([]byte, error) {
	var members map[string]any
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, fmt.Errorf("the discovery document: %w", err)
	}
	members["jwks_uri"] = keysURL
	return json.Marshal(members)
}

// internal reports whether an issuer is a name that only the cluster resolves.
func internal(issuerURL string) bool {
	u, err := url.Parse(issuerURL)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return host == "kubernetes" || strings.HasPrefix(host, "kubernetes.default")
}
