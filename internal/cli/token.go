package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/oidc-injector/oidc-injector/internal/issuer"
)

func newTokenCommand(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use:   "token",
		Short: "Shows, requests and verifies ServiceAccount tokens",
		Long: `Shows, requests and verifies ServiceAccount tokens.

No verb prints a token but "token create --print", and none prints a signature.
Tokens are read from a file or the standard input, never from an argument, which
everybody on the machine can see.`,
	}
	c.AddCommand(newTokenInspectCommand(g), newTokenCreateCommand(g), newTokenVerifyCommand(g))
	return c
}

var errTokenArgument = errors.New("the argument is a token: it is in the shell's history now, and everybody on this machine could see it")

// readToken reads a token from a file, or from the standard input.
func (g *globals) readToken(name string) (*issuer.Token, error) {
	if strings.Count(name, ".") == 2 && strings.HasPrefix(name, "eyJ") { // {" in base64url
		return nil, withHint(errTokenArgument, "pass it on the standard input, or name a file")
	}
	from := g.In
	if name == "-" {
		if g.Terminal {
			fmt.Fprintln(g.ErrOut, "reading the token from the terminal; end with Ctrl-D")
		}
		name = "the standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		from = io.Reader(file)
	}
	// Windows PowerShell writes UTF-16 for > FILE, and other programs of Windows a mark.
	from = transform.NewReader(from, unicode.BOMOverride(encoding.Nop.NewDecoder()))
	text, err := readBounded(from, issuer.MaxToken, name)
	if err != nil {
		return nil, err
	}
	t, err := issuer.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// first is the first argument, or the standard input.
func first(args []string) string {
	if len(args) == 0 {
		return "-"
	}
	return args[0]
}
