package login

import (
	"fmt"
	"io"
	"strings"

	"github.com/oidc-injector/oidc-injector/internal/loginspec"
)

const helpHead = `Usage:
  oidc-login [flags]         log in, and keep the login fresh
  oidc-login ready [flags]   report whether a valid token is in place
  oidc-login version         print the version

Exchanges the ServiceAccount token that the kubelet keeps in a file for a token
of Vault, OpenBao or an OAuth authorization server, writes that to a file, renews
it after two thirds of its lease, and logs in again when it cannot be renewed or
when the kubelet has replaced the ServiceAccount token.

Flags, with the variables that may be set instead. A flag wins; an empty one is
the default:
`

const helpReady = `
Flags of oidc-login ready, beside --` + string(loginspec.OutputFile) + `:
  --wait=DURATION
        How long to wait for the token, such as 4s. The default is not to wait.
`

const helpTail = `
Proxies are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

Files: the directory of the result also gets .NAME.status, which oidc-login ready
reads, and, for moments, .NAME.*.tmp. No token is in the former.

Signals: SIGTERM and SIGINT end the program; in the mode sidecar it revokes its
tokens first, for two seconds at most. A second signal ends it at once.

Exit codes: 0, success; 1, failure: in the mode init no login within --` + string(loginspec.Timeout) + `, for
oidc-login ready no valid token; 2, wrong flags or variables. The reason is
printed, and written as the termination message.
`

// helpWidth is where lines of the help are broken.
const helpWidth = 80

// Help writes what --help prints.
func Help(w io.Writer) {
	fmt.Fprint(w, helpHead)
	for _, option := range options {
		fmt.Fprintf(w, "  --%s=%s, %s\n", option.Name, option.Value, option.Name.Env())
		help := option.Help
		if len(option.methods) == 1 {
			help += " For the method " + option.methods[0] + "."
		}
		if option.Default != "" {
			help += fmt.Sprintf(" (default %s)", option.Default)
		}
		fmt.Fprint(w, wrap(help, "        "))
	}
	fmt.Fprint(w, helpReady, helpTail)
}

// wrap breaks a text into lines with an indent.
func wrap(text, indent string) string {
	var out strings.Builder
	line := indent
	for word := range strings.FieldsSeq(text) {
		if len(line) > len(indent) && len(line)+1+len(word) > helpWidth {
			out.WriteString(line + "\n")
			line = indent
		}
		if len(line) > len(indent) {
			line += " "
		}
		line += word
	}
	out.WriteString(line + "\n")
	return out.String()
}
