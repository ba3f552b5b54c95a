package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/oidc-injector/oidc-injector/internal/config"
	"github.com/oidc-injector/oidc-injector/internal/filewatch"
)

// ownTokenFile is where a pod finds its token for the API server.
const ownTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token" //nolint:gosec // a path, not a credential

// ownAudiences returns the audiences of the program's own ServiceAccount token.
// They are the API server's, whatever its flags say: the kubelet asks for this
// token without naming an audience. Outside a cluster there are none.
func ownAudiences(tokenFile string) []string {
	token, err := os.ReadFile(tokenFile)
	if err != nil {
		return nil
	}
	return audiences(string(token))
}

// followAudiences returns the task that reads the token again when the kubelet has
// replaced it: after a change of the issuer it has other audiences.
func followAudiences(tokenFile string, interval time.Duration, store *config.Store, log *slog.Logger) task {
	return func(ctx context.Context) error {
		filewatch.Follow(ctx, tokenFile, interval, nil, func(token []byte, err error) {
			if err == nil && store.AddAPIServerAudiences(audiences(string(token))) {
				log.Info("the API server has new audiences, which pods may not ask for")
			}
		})
		return nil
	}
}

// audiences returns the `aud` claim of a JWT (RFC 7519 section 4.1.3), a string
// or a list of them. The signature is not looked at: the kubelet put the file
// there, and the claim only takes rights away.
func audiences(jwt string) []string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	var many struct {
		Audiences []string `json:"aud"`
	}
	if json.Unmarshal(payload, &many) == nil {
		return many.Audiences
	}
	var one struct {
		Audience string `json:"aud"`
	}
	if json.Unmarshal(payload, &one) != nil || one.Audience == "" {
		return nil
	}
	return []string{one.Audience}
}
