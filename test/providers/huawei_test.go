package providers

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/config"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/def"
)

func testHuawei(t *testing.T) {
	const project, domain = "0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"
	for _, test := range []struct {
		name, kind, iam string
		asked           map[string]string
		header          map[string]string
	}{
		{
			"a regional service", "basic.Credentials", "iam.myhuaweicloud.com",
			map[string]string{"huawei-project-id": project},
			map[string]string{"X-Project-Id": project},
		},
		{
			"a global service", "global.Credentials", "iam.eu-west-101.example",
			map[string]string{"huawei-domain-id": domain, "huawei-iam-endpoint": "https://iam.eu-west-101.example"},
			map[string]string{"X-Domain-Id": domain},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := inject(t, "kubernetes", test.asked, map[string]string{"huawei-audience": "kubernetes", "huawei-idp-id": "cluster"})
			internet.serve(t, test.iam, federatedLogin(t, c))
			internet.serve(t, "service.example", func(w http.ResponseWriter, r *http.Request) {
				if !strings.Contains(r.Header.Get("Authorization"), "Access=AKIDexample,") {
					t.Errorf("the request is signed as %q", r.Header.Get("Authorization"))
				}
				header := map[string]string{"X-Security-Token": "session"}
				maps.Copy(header, test.header)
				(&request{method: http.MethodGet, path: "/v1/things", header: header}).check(t, r)
				reply(w, "application/json", `{}`)
			})
			// What clients of all services are made of. They do not read HTTPS_PROXY.
			client, err := core.NewHcHttpClientBuilder().WithCredentialsType(test.kind).WithEndpoint("service.example").
				WithHttpConfig(config.DefaultHttpConfig().WithProxy(huaweiProxy(t))).SafeBuild()
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				list := def.NewHttpRequestDefBuilder().WithMethod(http.MethodGet).WithPath("/v1/things").
					WithContentType("application/json").WithResponse(&listed{}).Build()
				if _, err := client.Sync(&struct{}{}, list); err != nil {
					t.Fatal(err)
				}
				c.rotate(t)
			}
		})
	}
}

// listed is a response, as the SDK's services have them.
type listed struct {
	HttpStatusCode int `json:"-"` //nolint:revive,staticcheck // the SDK looks for it by this name
}

// https://support.huaweicloud.com/intl/en-us/api-iam/iam_13_0605.html (an unscoped token) and
// iam_04_0002.html (temporary keys). What is issued has expired, so that the SDK asks anew
// for each request.
func federatedLogin(t *testing.T, c *container) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		expires := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
		if r.URL.Path == "/v3.0/OS-CREDENTIAL/securitytokens" {
			r.Header.Set("Content-Type", "application/json") // which the SDK does not say here
			(&request{method: http.MethodPost, path: r.URL.Path, json: map[string]any{"auth": map[string]any{"identity": map[string]any{
				"methods": []any{"token"}, "token": map[string]any{"id": "unscoped", "duration_seconds": float64(21600)},
			}}}}).check(t, r)
			reply(w, "application/json", fmt.Sprintf(`{"credential":{"access":"AKIDexample","secret":"secret","securitytoken":"session",`+
				`"expires_at":%q}}`, expires))
			return
		}
		(&request{
			method: http.MethodPost, path: "/v3.0/OS-AUTH/id-token/tokens", header: map[string]string{"X-Idp-Id": "cluster"},
			json: map[string]any{"auth": map[string]any{"id_token": map[string]any{"id": c.token}}},
		}).check(t, r)
		w.Header().Set("X-Subject-Token", "unscoped")
		w.Header().Set("X-Request-Id", "1")
		reply(w, "application/json", fmt.Sprintf(`{"token":{"expires_at":%q}}`, expires))
	}
}

// huaweiProxy is the proxy of the world, as this SDK is told of one.
func huaweiProxy(t *testing.T) *config.Proxy {
	t.Helper()
	host, text, err := net.SplitHostPort(internet.proxy.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return config.NewProxy().WithSchema("http").WithHost(host).WithPort(port)
}
